//! Which fields the transformers touch: the defaults, and what `configurations` and `crds` add.

mod defaults;

use crate::fieldspec::{FieldSpec, merge_all, merge_one};
use crate::resource::Gvk;

/// Names of objects of `target` stand in these fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameReference {
    pub(crate) target: Gvk,
    pub(crate) referrers: Vec<FieldSpec>,
}

/// The places of every transformer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Config {
    pub(crate) name_prefix: Vec<FieldSpec>,
    pub(crate) name_suffix: Vec<FieldSpec>,
    pub(crate) namespace: Vec<FieldSpec>,
    pub(crate) common_labels: Vec<FieldSpec>,
    pub(crate) labels: Vec<FieldSpec>,
    pub(crate) template_labels: Vec<FieldSpec>,
    pub(crate) common_annotations: Vec<FieldSpec>,
    pub(crate) name_reference: Vec<NameReference>,
    pub(crate) var_reference: Vec<FieldSpec>,
    pub(crate) images: Vec<FieldSpec>,
    pub(crate) replicas: Vec<FieldSpec>,
}

impl Config {
    /// What is built in.
    pub(crate) fn builtin() -> Self {
        defaults::CONFIG.clone()
    }

    /// The same, to look at.
    pub(crate) fn builtin_ref() -> &'static Self {
        &defaults::CONFIG
    }

    /// Adds another configuration's places.
    pub(crate) fn merge(&mut self, other: &Config) -> Result<(), String> {
        let lists = [
            (&mut self.name_prefix, &other.name_prefix),
            (&mut self.name_suffix, &other.name_suffix),
            (&mut self.namespace, &other.namespace),
            (&mut self.common_labels, &other.common_labels),
            (&mut self.labels, &other.labels),
            (&mut self.template_labels, &other.template_labels),
            (&mut self.common_annotations, &other.common_annotations),
            (&mut self.var_reference, &other.var_reference),
            (&mut self.images, &other.images),
            (&mut self.replicas, &other.replicas),
        ];
        for (list, added) in lists {
            merge_all(list, added)?;
        }
        other.name_reference.iter().try_for_each(|reference| self.add_name_reference(reference))
    }

    pub(crate) fn add_name_reference(&mut self, added: &NameReference) -> Result<(), String> {
        match self.name_reference.iter_mut().find(|known| known.target == added.target) {
            Some(known) => merge_all(&mut known.referrers, &added.referrers),
            None => {
                self.name_reference.push(added.clone());
                Ok(())
            }
        }
    }

    /// The places of a label transformer with these switches.
    pub(crate) fn label_fields(
        &self,
        own: &[FieldSpec],
        include_selectors: bool,
        include_templates: bool,
    ) -> Result<Vec<FieldSpec>, String> {
        let mut fields = own.to_vec();
        merge_all(&mut fields, &self.labels)?;
        if include_selectors {
            merge_all(&mut fields, &self.common_labels)?;
            return Ok(fields);
        }
        if include_templates {
            merge_all(&mut fields, &self.template_labels)?;
        }
        merge_one(&mut fields, FieldSpec::new("", "", "", "metadata/labels", true))?;
        Ok(fields)
    }
}
