//! Labels and annotations that the original keeps once and shows in several places.
//!
//! Where a transformer of its creates a label in several places of one object, all of them are one node in memory. Whatever
//! sets that label later in one place (another label, a strategic merge, a replacement) so sets it in all: labels of an
//! overlay without `includeSelectors` change selectors that the base's `commonLabels` made. JSON patches make a new object,
//! and the places part. So it is with annotations.

use std::rc::Rc;

use crate::fieldspec::{FieldSpec, Make};
use crate::resource::Resource;
use crate::transform::with_value;
use crate::value::{Text, Value};

/// One label of one object, in the places where it was created together.
#[derive(Debug, Clone)]
pub(crate) struct SharedLabel {
    key: Text,
    value: Value,
    specs: Rc<[FieldSpec]>,
    /// A bit for each of the first places of `specs`.
    places: u128,
}

/// Notes where labels are created.
pub(crate) struct Created {
    specs: Rc<[FieldSpec]>,
    /// For each key.
    places: Vec<u128>,
}

impl Created {
    pub(crate) fn new(specs: &[FieldSpec], keys: usize) -> Self {
        Self { specs: specs.into(), places: vec![0; keys] }
    }

    /// The key's number `key` is created at the place number `spec`.
    pub(crate) fn note(&mut self, key: usize, spec: usize) {
        if let (Some(places), Some(bit)) =
            (self.places.get_mut(key), 1_u128.checked_shl(u32::try_from(spec).unwrap_or(u32::MAX)))
        {
            *places |= bit;
        }
    }

    /// Hands what was noted to the object, and begins anew.
    pub(crate) fn settle<'l>(
        &mut self,
        resource: &mut Resource,
        labels: impl Iterator<Item = (&'l String, &'l String)>,
    ) {
        for ((key, value), places) in labels.zip(&mut self.places) {
            if places.count_ones() > 1 {
                resource.shared.push(SharedLabel {
                    key: key.into(),
                    value: value.as_str().into(),
                    specs: Rc::clone(&self.specs),
                    places: *places,
                });
            }
            *places = 0;
        }
    }
}

impl SharedLabel {
    fn places(&self) -> impl Iterator<Item = &FieldSpec> {
        self.specs.iter().enumerate().filter(|(i, _)| self.places >> i & 1 == 1).map(|(_, spec)| spec)
    }

    /// The value that was set in one of the places, if any was: the last one by path, as the original walks.
    fn changed(&self, object: &mut Value) -> Option<Value> {
        let mut changed: Option<(&str, Value)> = None;
        for spec in self.places() {
            // A place that leads nowhere any more changes nothing.
            let _ = spec.apply(object, Make::Nothing, &mut |labels| {
                if let Some(value) = labels.get(&self.key).filter(|value| **value != self.value)
                    && changed.as_ref().is_none_or(|(path, _)| *path <= spec.path.as_str())
                {
                    changed = Some((&spec.path, value.clone()));
                }
                Ok(())
            });
        }
        changed.map(|(_, value)| value)
    }
}

/// After a step that may have set labels: what was set in one place is set in all.
pub(crate) fn follow(resources: &mut [Resource]) {
    for resource in resources.iter_mut().filter(|resource| !resource.shared.is_empty()) {
        let mut shared = std::mem::take(&mut resource.shared);
        with_value(resource, |object| {
            for label in &mut shared {
                let Some(value) = label.changed(object) else { continue };
                for spec in label.places() {
                    let _ = spec.apply(object, Make::Nothing, &mut |labels| {
                        if let Some(place) = labels.get_mut(&label.key) {
                            place.clone_from(&value);
                        }
                        Ok(())
                    });
                }
                label.value = value;
            }
        });
        resource.shared = shared;
    }
}
