//! What is done once, at the top: hashes, references, variables, order, and tidying up.

use super::origin::{ORIGIN_KEY, TRANSFORMATIONS_KEY, remove_annotation};
use super::{Accumulated, Builder, Fallible, Frame};
use crate::error::{Position, Problem, Warning};
use crate::generate::hash::hash;
use crate::names;
use crate::order::{Order, sort};
use crate::resource::Resource;
use crate::tree::FileTree;
use crate::vars;

/// Objects with this annotation are for tools, not for the cluster.
const LOCAL_CONFIG_KEY: &str = "config.kubernetes.io/local-config";

/// The label that `managedByLabel` asks for, with the value that kubectl writes.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kustomize-(devel)");

impl<T: FileTree + ?Sized> Builder<'_, T> {
    pub(super) fn finish(&mut self, frame: &Frame, accumulated: Accumulated) -> Fallible<Vec<Resource>> {
        let here = |this: &Self, problem: Problem| this.fail(problem, &frame.path, Position::default());
        let order = frame.kustomization.sort_options.as_ref();
        let position = order.map_or_else(Position::default, |options| options.position);
        let order = Order::new(order.map(|options| &options.value))
            .map_err(|reason| self.fail(reason, &frame.path, position))?;
        let Accumulated { mut resources, config, vars } = accumulated;
        let config = config.get();
        add_hashes(&mut resources);
        names::fix_references(&mut resources, config).map_err(|reason| here(self, reason.into()))?;
        let unused =
            vars::resolve(&mut resources, &vars, &config.var_reference).map_err(|problem| here(self, problem))?;
        for name in unused {
            let message = format!("the variable `{name}` is never used");
            self.warnings.push(Warning { path: frame.path.clone(), line: 0, message });
        }
        resources.retain(|resource| {
            resource.string_in("annotations", LOCAL_CONFIG_KEY).is_none_or(|value| value == "false")
        });
        sort(&mut resources, &order);
        for resource in &mut resources {
            self.tidy(resource);
        }
        Ok(resources)
    }

    fn tidy(&self, resource: &mut Resource) {
        if self.has_build_metadata("managedByLabel") {
            let mut labels = resource.string_map("labels");
            labels.insert(MANAGED_BY.0, MANAGED_BY.1.into());
            resource.set_string_map("labels", labels);
        }
        if !self.build_metadata.is_empty() {
            for (option, key) in [("originAnnotations", ORIGIN_KEY), ("transformerAnnotations", TRANSFORMATIONS_KEY)] {
                if !self.has_build_metadata(option) {
                    remove_annotation(resource, key);
                }
            }
        }
        // Annotations are strings, and an empty map of them vanishes, as where the original takes its own notes out.
        resource.write_annotations_as_text();
    }
}

pub(super) fn add_hashes(resources: &mut [Resource]) {
    for resource in resources.iter_mut().filter(|resource| resource.needs_hash) {
        let name = format!("{}-{}", resource.name(), hash(resource));
        resource.store_previous_id();
        resource.set_name(&name);
    }
}
