//! People's hands in git, and what its log says.

use std::path::Path;
use std::process::Stdio;

use super::{Stage, command, edit, hermetic};

impl Stage {
    pub(in crate::outside) fn git(&self, args: &[&str], folder: &str) -> String {
        command(hermetic("git", self.folder.path()).current_dir(self.folder.path().join(folder)).args(args))
    }

    /// git in the person's clone.
    pub(in crate::outside) fn person(&self, args: &[&str]) -> String {
        self.git(args, "shop")
    }

    /// Fetches, changes the clone, commits and pushes. Gives the commit.
    pub(in crate::outside) fn commit(&self, message: &str, change: impl Fn(&Path)) -> String {
        self.push_until_it_lands(|| {
            change(&self.clone_path());
            self.person(&["add", "--all"]);
            self.person(&["commit", "--quiet", "--allow-empty", "--message", message]);
        })
    }

    /// Sets the tag in base.
    pub(in crate::outside) fn bump(&self, version: &str) -> String {
        self.commit(&format!("Release {version}"), |clone| {
            edit(&clone.join("base/kustomization.yaml"), |text| {
                let (before, rest) = text.split_once("newTag: ").expect("a tag");
                let after = rest.split_once('\n').map_or("", |(_, after)| after);
                format!("{before}newTag: {version}\n{after}")
            });
        })
    }

    /// `git revert`.
    pub(in crate::outside) fn revert(&self, commit: &str) -> String {
        self.push_until_it_lands(|| {
            self.person(&["revert", "--no-edit", commit]);
        })
    }

    /// Reverts turquoise's newest commit that changed the selector.
    pub(in crate::outside) fn revert_flip(&self) -> String {
        self.person(&["pull", "--quiet", "--rebase"]);
        let flip = self.person(&["log", "-1", "--format=%H", "--author=turquoise", "--", "overlays/live"]);
        self.revert(&flip)
    }

    /// Sets the live Service's selector by hand, in git.
    pub(in crate::outside) fn select(&self, colour: &str) -> String {
        self.commit(&format!("Select {colour}"), |clone| {
            edit(&clone.join("overlays/live/service.yaml"), |text| {
                let (before, rest) = text.split_once("colour: ").expect("a selector");
                let after = rest.split_once('\n').map_or("", |(_, after)| after);
                format!("{before}colour: {colour}\n{after}")
            });
        })
    }

    /// A person's push is rejected where turquoise was faster: then it is made again, as a person would.
    fn push_until_it_lands(&self, make: impl Fn()) -> String {
        for _ in 0..20 {
            self.person(&["fetch", "--quiet"]);
            self.person(&["reset", "--quiet", "--hard", "origin/main"]);
            make();
            let pushed = hermetic("git", self.folder.path())
                .current_dir(self.clone_path())
                .args(["push", "--quiet"])
                .stderr(Stdio::null())
                .status();
            if pushed.expect("git runs").success() {
                return self.person(&["rev-parse", "HEAD"]);
            }
        }
        panic!("the push never landed");
    }

    /// The log of the bare repository: `verdict revision` lines and people's subjects, newest first.
    pub(in crate::outside) fn git_log(&self, format: &str) -> Vec<String> {
        let text = self.git(&["log", &format!("--format={format}"), "main"], "shop.git");
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// How often a verdict was said about a commit.
    pub(in crate::outside) fn verdicts(&self, commit: &str, verdict: &str) -> usize {
        let text = self.git(&["log", "--format=%B", "main"], "shop.git");
        let fact = format!("Turquoise-Revision: {commit}\nTurquoise-Verdict: {verdict}");
        text.matches(&fact).count()
    }

    /// A file at the branch's head.
    pub(in crate::outside) fn file(&self, path: &str) -> String {
        self.git(&["show", &format!("main:{path}")], "shop.git")
    }
}
