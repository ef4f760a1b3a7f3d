//! Which fields the transformers touch: the defaults, and what `configurations` and `crds` add.

mod defaults;

use crate::fieldspec::{FieldSpec, merge_all, merge_one};
use crate::order::gvk_key;
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

/// What a kustomization and its bases have gathered. Most builds never have more than what is built in, and copy nothing.
#[derive(Debug, Clone, Default)]
pub(crate) enum Gathered {
    /// No kustomization was read yet.
    #[default]
    Nothing,
    Builtin,
    Own(Box<Config>),
}

impl Gathered {
    pub(crate) fn get(&self) -> &Config {
        match self {
            Gathered::Nothing | Gathered::Builtin => &defaults::CONFIG,
            Gathered::Own(config) => config,
        }
    }

    /// Adds what another kustomization gathered.
    pub(crate) fn merge(&mut self, other: &Gathered) -> Result<(), String> {
        match (&mut *self, other) {
            (_, Gathered::Nothing) | (Gathered::Builtin, Gathered::Builtin) => Ok(()),
            (Gathered::Nothing, Gathered::Builtin) => {
                *self = Gathered::Builtin;
                Ok(())
            }
            (_, Gathered::Builtin | Gathered::Own(_)) => self.add(other.get()),
        }
    }

    /// Adds the places of a configuration.
    pub(crate) fn add(&mut self, other: &Config) -> Result<(), String> {
        let mut config = match std::mem::take(self) {
            Gathered::Nothing => Box::default(),
            Gathered::Builtin => Box::new(defaults::CONFIG.clone()),
            Gathered::Own(config) => config,
        };
        config.merge(other)?;
        *self = Gathered::Own(config);
        Ok(())
    }
}

impl Config {
    /// Adds another configuration's places, and sorts all as the original does. The order counts in the next merge: a place
    /// of one kind hides a later one of the same path for any kind.
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
            list.sort_by_cached_key(|spec| gvk_key(&spec.gvk));
        }
        other.name_reference.iter().try_for_each(|reference| self.add_name_reference(reference))?;
        self.name_reference.sort_by_cached_key(|reference| gvk_key(&reference.target));
        Ok(())
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
