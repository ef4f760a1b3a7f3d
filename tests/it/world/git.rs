//! The watched branch of the world: a line of commits, each with everything that decisions look at.

use turquoise::core::colour::{ByColour, Colour};
use turquoise::core::ids::CommitId;
use turquoise::core::lock::Lock;
use turquoise::core::verdict::{Entry, VerdictLog};

/// The branch that the world watches.
pub(crate) const BRANCH: &str = "main";

/// Who made a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Person,
    Turquoise,
}

/// What one colour's overlay renders: the version in the base, and what the overlay itself sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Content {
    pub(crate) base: u32,
    pub(crate) overlay: u32,
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.overlay == 0 { write!(f, "{}", self.base) } else { write!(f, "{}+{}", self.base, self.overlay) }
    }
}

/// The files at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) base: u32,
    pub(crate) overlay: ByColour<u32>,
    /// `spec.replicas` of every workload.
    pub(crate) size: u32,
    /// What the live overlay says of ports and paths.
    pub(crate) routing: u32,
    /// What the live overlay says of its ServiceAccount.
    pub(crate) shared: u32,
    /// Whether the live overlay has the ServiceAccount that [`super::cluster::NEEDS_ACCOUNT`] names.
    pub(crate) account: bool,
    /// Whether the live overlay has a second Ingress.
    pub(crate) door: bool,
    pub(crate) selector: String,
    pub(crate) lock: Lock,
}

impl Tree {
    pub(crate) fn content(&self, colour: Colour) -> Content {
        Content { base: self.base, overlay: self.overlay[colour] }
    }

    pub(crate) fn pair(&self) -> (Content, Content) {
        (self.content(Colour::Blue), self.content(Colour::Green))
    }

    pub(crate) fn declared(&self) -> Option<Colour> {
        self.selector.parse().ok()
    }
}

/// One commit.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) tree: Tree,
    pub(crate) author: Author,
    pub(crate) subject: String,
    pub(crate) facts: Vec<Entry>,
}

/// The branch.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    pub(crate) commits: Vec<Commit>,
}

impl Git {
    pub(crate) fn new() -> Self {
        let tree = Tree {
            base: 1,
            overlay: ByColour::default(),
            size: 1,
            routing: 1,
            shared: 1,
            account: false,
            door: false,
            selector: "blue".into(),
            lock: Lock::default(),
        };
        let first = Commit { tree, author: Author::Person, subject: "the shop".into(), facts: Vec::new() };
        Self { commits: vec![first] }
    }

    pub(crate) fn head(&self) -> usize {
        self.commits.len() - 1
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.commits[self.head()].tree
    }

    /// The first commit of the run up to HEAD with HEAD's pair.
    pub(crate) fn revision(&self) -> usize {
        let pair = self.tree().pair();
        let run = self.commits.iter().rev().take_while(|commit| commit.tree.pair() == pair).count();
        self.commits.len() - run
    }

    /// The commit that gave the selector its value; `None` where it never changed.
    pub(crate) fn selector_change(&self) -> Option<usize> {
        let selector = &self.tree().selector;
        let run = self.commits.iter().rev().take_while(|commit| commit.tree.selector == *selector).count();
        (run < self.commits.len()).then(|| self.commits.len() - run)
    }

    /// Whether pair and lock are now what they were at a commit.
    pub(crate) fn unchanged_since(&self, index: usize) -> bool {
        let (then, now) = (&self.commits[index].tree, self.tree());
        then.pair() == now.pair() && then.lock == now.lock
    }

    /// The lock as turquoise last left it.
    pub(crate) fn own_lock(&self) -> Option<Lock> {
        let ours = self.commits.iter().rev().find(|commit| commit.author == Author::Turquoise)?;
        Some(ours.tree.lock.clone()).filter(|lock| !lock.branch.is_empty())
    }

    pub(crate) fn verdicts(&self) -> VerdictLog {
        VerdictLog::new(self.facts().cloned().collect())
    }

    pub(crate) fn facts(&self) -> impl Iterator<Item = &Entry> {
        self.commits.iter().filter(|commit| commit.author == Author::Turquoise).flat_map(|commit| &commit.facts)
    }

    pub(crate) fn push(&mut self, commit: Commit) {
        self.commits.push(commit);
    }

    /// Whether a commit changed the selector.
    pub(crate) fn moved_selector(&self, at: usize) -> bool {
        at > 0 && self.commits[at].tree.selector != self.commits[at - 1].tree.selector
    }

    /// What `git revert` of a commit makes of HEAD: `Err` names what conflicts, `Ok(None)` changes nothing.
    pub(crate) fn reverted(&self, at: usize) -> Result<Option<Tree>, Vec<&'static str>> {
        let (before, after, head) = (&self.commits[at - 1].tree, &self.commits[at].tree, self.tree());
        let mut merge = Merge { changed: false, conflicts: Vec::new() };
        let pin = |tree: &Tree, colour: Colour| tree.lock.pins[colour].clone();
        let mut lock = head.lock.clone();
        lock.rejected = merge.field("rejected", &before.lock.rejected, &after.lock.rejected, &head.lock.rejected);
        for (colour, name) in [(Colour::Blue, "blue's pin"), (Colour::Green, "green's pin")] {
            lock.pins[colour] = merge.field(name, &pin(before, colour), &pin(after, colour), &pin(head, colour));
        }
        let tree = Tree {
            base: merge.field("base", &before.base, &after.base, &head.base),
            overlay: ByColour {
                blue: merge.field("blue's overlay", &before.overlay.blue, &after.overlay.blue, &head.overlay.blue),
                green: merge.field("green's overlay", &before.overlay.green, &after.overlay.green, &head.overlay.green),
            },
            size: merge.field("size", &before.size, &after.size, &head.size),
            routing: merge.field("routing", &before.routing, &after.routing, &head.routing),
            shared: merge.field("shared", &before.shared, &after.shared, &head.shared),
            account: merge.field("account", &before.account, &after.account, &head.account),
            door: merge.field("door", &before.door, &after.door, &head.door),
            selector: merge.field("selector", &before.selector, &after.selector, &head.selector),
            lock,
        };
        if merge.conflicts.is_empty() { Ok(merge.changed.then_some(tree)) } else { Err(merge.conflicts) }
    }
}

/// A three-way merge, field by field.
struct Merge {
    changed: bool,
    conflicts: Vec<&'static str>,
}

impl Merge {
    /// Takes a change from `after` back to `before` out of `head`.
    fn field<T: PartialEq + Clone>(&mut self, name: &'static str, before: &T, after: &T, head: &T) -> T {
        if before == after || head == before {
            return head.clone();
        }
        if head != after {
            self.conflicts.push(name);
            return head.clone();
        }
        self.changed = true;
        before.clone()
    }
}

/// The id of the commit at an index.
pub(crate) fn id(index: usize) -> CommitId {
    CommitId::new(format!("c{index}"))
}

/// The index of a commit's id.
pub(crate) fn index(id: &CommitId) -> usize {
    id.as_str().strip_prefix('c').and_then(|text| text.parse().ok()).expect("every commit is one of the world's")
}
