//! What the cluster has, compared with what git renders of it: facts that take both.

use super::{PassError, Reconciler};
use crate::cluster::Subject;
use crate::core::desired::Desired;
use crate::core::observed::{Drift, Observed, Serving};
use crate::source::Part;

impl Reconciler {
    /// Fields of the serving colour's objects that differ from its pin. Asked only where nothing else is to be mended first.
    pub(super) async fn drift(
        &self,
        subject: &Subject,
        desired: &Desired,
        observed: &Observed,
    ) -> Result<Vec<Drift>, PassError> {
        let Serving::Colour(serving) = observed.serving() else { return Ok(Vec::new()) };
        let Some(pin) = desired.lock.pins[serving].as_ref() else { return Ok(Vec::new()) };
        let present = &observed.colours[serving].present;
        let faces = observed.faces.iter().filter(|(key, _)| present.contains(*key));
        let faces = faces.map(|(key, face)| (key.clone(), face.clone())).collect();
        let known = self.cluster.known_drift(subject, &pin.revision, &faces);
        if known.stale.is_empty() || !desired.renders.contains_key(&pin.revision) {
            return Ok(known.drift);
        }
        let objects = self.objects(&pin.revision, Part::Colour(serving)).await?;
        self.cluster.find_drift(subject, &pin.revision, &faces, &objects).await;
        Ok(self.cluster.known_drift(subject, &pin.revision, &faces).drift)
    }

    /// Whether what serves is what HEAD renders, where no lock and no record tells what it was released with (rule 12).
    pub(super) async fn stands_as_head(
        &self,
        subject: &Subject,
        desired: &Desired,
        observed: &Observed,
    ) -> Result<bool, PassError> {
        let Serving::Colour(serving) = observed.serving() else { return Ok(false) };
        if !desired.lock_is_lost || desired.own_lock.is_some() || observed.colours[serving].record.is_some() {
            return Ok(false);
        }
        let objects = self.objects(&desired.head, Part::Colour(serving)).await?;
        Ok(self.cluster.stands_as(subject, &objects).await?)
    }
}
