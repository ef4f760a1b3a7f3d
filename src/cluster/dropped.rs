//! The live overlay's inventory, and the deletion of what it has dropped (rule 8).

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Preconditions};

use super::annotations as name;
use super::snapshot::{app_of, label};
use super::{Cluster, ClusterError, Subject, delete, record};
use crate::core::action::Inventory;
use crate::core::ids::ObjectKey;

impl Cluster {
    /// Notes on the live overlay's Services what is applied for it.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where a Service is not as it was seen; whatever the server refuses.
    pub async fn note_inventory(&self, subject: &Subject, inventory: &Inventory) -> Result<(), ClusterError> {
        let annotations = [(name::INVENTORY.to_owned(), record::inventory_text(&inventory.objects))].into();
        self.annotate_services(subject, &inventory.services, &annotations).await
    }

    /// Deletes objects of the live overlay and notes what is left. An object that is not labelled as the app's any more, or
    /// whose people asked to keep it, is let go of as it stands.
    ///
    /// # Errors
    /// As [`Cluster::note_inventory`]. What was deleted before it stays so, and is still in the inventory.
    pub async fn prune_overlay(
        &self,
        subject: &Subject,
        objects: &BTreeSet<ObjectKey>,
        left: &Inventory,
    ) -> Result<(), ClusterError> {
        for guard in &left.services {
            self.seen_service(subject, guard).await?;
        }
        for key in objects {
            let found = match self.metadata_of(subject, key).await {
                // The cluster does not serve the kind any more.
                Err(ClusterError::Refused { code: 404, .. }) => None,
                found => found?,
            };
            if let Some(meta) = found.filter(|meta| is_ours(subject, meta)) {
                self.delete_this(subject, key, &meta).await?;
            }
        }
        self.note_inventory(subject, left).await
    }

    /// Deletes the very object that was looked at, not a later one of its name.
    async fn delete_this(&self, subject: &Subject, key: &ObjectKey, meta: &ObjectMeta) -> Result<(), ClusterError> {
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        let seen = Preconditions { resource_version: None, uid: meta.uid.clone() };
        let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::background() };
        delete(&api, key, &params).await
    }
}

fn is_ours(subject: &Subject, meta: &ObjectMeta) -> bool {
    let annotation = |key: &str| meta.annotations.as_ref()?.get(key).map(String::as_str);
    app_of(meta) == Some(subject.app.as_str())
        && label(meta, name::PART) == Some(name::PART_LIVE)
        && annotation(name::PRUNE) != Some(name::NO_PRUNE)
}
