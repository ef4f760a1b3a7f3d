//! Hands of people that the everyday scenarios do without.

use std::fs;

use super::{Stage, command, turquoise};
use crate::outside::traffic::Allowed;

impl Stage {
    /// Takes a branch away from the bare repository.
    pub(in crate::outside) fn delete_branch(&self, branch: &str) {
        self.git(&["update-ref", "-d", &format!("refs/heads/{branch}")], "shop.git");
    }

    /// The bare repository loses every commit that no branch leads to.
    pub(in crate::outside) fn forget_lost_commits(&self) {
        self.git(&["reflog", "expire", "--expire=now", "--all"], "shop.git");
        self.git(&["gc", "--quiet", "--prune=now"], "shop.git");
    }

    /// What may fail in this story.
    pub(in crate::outside) fn allow(&mut self, allowed: Allowed) {
        self.allowed = Some(allowed);
    }

    /// Sets the live Service's selector by hand, in the cluster.
    pub(in crate::outside) fn select_in_cluster(&self, colour: &str) {
        self.hands.set(self.hands.get() + 1);
        self.kubectl(&[
            "patch",
            "service",
            "shop",
            "-p",
            &format!(r#"{{"spec":{{"selector":{{"colour":"{colour}"}}}}}}"#),
        ]);
    }

    /// `kubectl apply` of an overlay of the clone, rendered by turquoise: Debian's kubectl knows an old kustomize.
    pub(in crate::outside) fn apply_overlay(&self, overlay: &str) {
        let rendered = command(turquoise().arg("render").arg(self.clone_path().join("overlays").join(overlay)));
        let file = self.folder.path().join("rendered.yaml");
        fs::write(&file, rendered).expect("written");
        self.kubectl(&["apply", "-f", &file.to_string_lossy()]);
    }
}
