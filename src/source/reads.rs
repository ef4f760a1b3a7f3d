//! What a render read, so that other commits at which the same stands there need not be rendered.

use std::sync::Arc;

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};

/// What stands at a path of a git tree, as far as a render can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing.
    Absent,
    /// A regular file; its mode makes no difference.
    File(Oid),
    /// A symbolic link.
    Link(Oid),
    /// A directory. What it holds counts only where it was looked at.
    Directory,
    /// A submodule.
    Submodule,
}

/// Git's mode of a symbolic link.
const MODE_LINK: i32 = 0o120_000;

impl Probe {
    /// What an entry of a tree is.
    pub(super) fn of(entry: Option<&TreeEntry<'_>>) -> Self {
        let Some(entry) = entry else { return Self::Absent };
        match entry.kind() {
            Some(ObjectType::Blob) if entry.filemode() == MODE_LINK => Self::Link(entry.id()),
            Some(ObjectType::Blob) => Self::File(entry.id()),
            Some(ObjectType::Tree) => Self::Directory,
            Some(ObjectType::Commit | ObjectType::Tag | ObjectType::Any) | None => Self::Submodule,
        }
    }
}

/// Every path that was looked at, and what stood there: a trie of path parts, each level sorted by name. A thousand apps
/// keep a dozen of these each, so it is vectors and not maps.
#[derive(Debug, Clone, Default)]
pub(super) struct Reads(Vec<Node>);

#[derive(Debug, Clone)]
struct Node {
    name: Box<str>,
    is: Probe,
    below: Reads,
}

impl Reads {
    /// Notes what stands at a path; `/` separates its parts.
    pub(super) fn note(&mut self, path: &str, probe: Probe) {
        match path.split_once('/') {
            None => self.node(path).is = probe,
            Some((part, rest)) => self.node(part).below.note(rest, probe),
        }
    }

    /// The node of a part; what is above a noted path is a directory.
    fn node(&mut self, name: &str) -> &mut Node {
        let index = self.0.binary_search_by(|node| node.name.as_ref().cmp(name)).unwrap_or_else(|index| {
            self.0.insert(index, Node { name: name.into(), is: Probe::Directory, below: Self::default() });
            index
        });
        &mut self.0[index]
    }

    /// Adds what another render of the same tree read.
    pub(super) fn merge(&mut self, other: &Self) {
        for node in &other.0 {
            let own = self.node(&node.name);
            own.is = node.is;
            own.below.merge(&node.below);
        }
    }

    /// The same to share, with nothing set aside for more.
    pub(super) fn shared(mut self) -> Arc<Self> {
        self.compact();
        Arc::new(self)
    }

    fn compact(&mut self) {
        self.0.shrink_to_fit();
        self.0.iter_mut().for_each(|node| node.below.compact());
    }

    /// Whether the same stands at every noted path of this tree.
    pub(super) fn hold_in(&self, git: &Repository, tree: &Tree<'_>) -> Result<bool, git2::Error> {
        for node in &self.0 {
            let entry = tree.get_name(&node.name);
            if Probe::of(entry.as_ref()) != node.is {
                return Ok(false);
            }
            if let Some(entry) = entry.filter(|_| !node.below.0.is_empty())
                && !node.below.hold_in(git, &git.find_tree(entry.id())?)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the same stands at every noted path of two trees. Equal subtrees are not opened, so that commits that
    /// touch other folders cost a look at the root's entries.
    pub(super) fn same_in(&self, git: &Repository, a: &Tree<'_>, b: &Tree<'_>) -> Result<bool, git2::Error> {
        if a.id() == b.id() {
            return Ok(true);
        }
        for node in &self.0 {
            let (in_a, in_b) = (a.get_name(&node.name), b.get_name(&node.name));
            if Probe::of(in_a.as_ref()) != Probe::of(in_b.as_ref()) {
                return Ok(false);
            }
            if let (Some(in_a), Some(in_b)) = (in_a, in_b)
                && in_a.id() != in_b.id()
                && !node.below.0.is_empty()
                && !node.below.same_in(git, &git.find_tree(in_a.id())?, &git.find_tree(in_b.id())?)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
