//! Overlays rendered at commits, kept by what they read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use git2::{Oid, Repository};

use super::apps::App;
use super::error::{SourceError, git};
use super::kustomize::{self, Selector};
use super::reads::{Probe, Reads};
use super::shelf::{Kept, Shelf};
use super::tree::{self, GitTree};
use crate::core::colour::{ByColour, Colour};
use crate::core::desired::{Declared, Render};
use crate::core::ids::Digest;
use crate::core::lock::Lock;
use crate::core::policy::{self, POLICY_FILE, Policy};
use crate::core::report::Blocked;
use crate::core::shape::{self, LiveSide, Manifest, Parts, Shape};
use crate::core::text::OneLine;

/// Different renders of one overlay that are kept: HEAD's, the pins', the candidate's and a few that a walk passes.
const RENDERS_MAX: usize = 12;

/// Lists of whole objects that are kept during a pass: the three overlays at HEAD, at the pins, and at what a walk meets.
const OBJECTS_MAX: usize = 16;

/// turquoise.yaml is a page; a larger one is no policy.
pub(super) const POLICY_BYTES_MAX: u64 = 256 * 1024;

/// Locks kept during a pass, by their blob: HEAD's, turquoise's own newest, and those before and after a commit of ours.
const LOCKS_MAX: usize = 8;

/// Policies kept by their blob: today's, and a few old ones.
const POLICIES_MAX: usize = 16;

/// A render that may have failed with what blocks the app.
pub(super) type Outcome<T> = Result<T, Blocked>;

/// An outcome with what was read for it.
pub(super) type Answer<T> = Arc<Kept<Outcome<Arc<T>>>>;

type LiveQuestion = (String, Option<String>, Vec<String>);

/// All that was rendered of one app.
#[derive(Debug)]
pub(super) struct Renders {
    objects: Shelf<String, Outcome<Arc<Vec<Manifest>>>>,
    colours: Shelf<(String, Colour), Outcome<Arc<Render>>>,
    lives: Shelf<LiveQuestion, Outcome<Arc<LiveSide>>>,
    shapes: Shelf<(String, Digest), Outcome<Arc<Shape>>>,
    policies: HashMap<Oid, Option<Arc<Policy>>>,
    locks: RefCell<Vec<(Oid, Lock)>>,
}

/// P at a tree, with what it was read from.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// `None` where a colour cannot be rendered: it equals nothing.
    pub(super) digests: Option<ByColour<Digest>>,
    pub(super) reads: Arc<Reads>,
}

impl Pair {
    /// Whether P is the same; what cannot be rendered equals nothing.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.digests.is_some() && self.digests == other.digests
    }
}

impl Default for Renders {
    fn default() -> Self {
        Self {
            objects: Shelf::new(2).bounded(OBJECTS_MAX),
            colours: Shelf::new(RENDERS_MAX),
            lives: Shelf::new(RENDERS_MAX),
            shapes: Shelf::new(1),
            policies: HashMap::new(),
            locks: RefCell::default(),
        }
    }
}

impl Renders {
    /// Forgets the lists of whole objects, which everything else says in few words, and what the newest look did not ask for.
    pub(super) fn put_away(&mut self) {
        self.objects.clear();
        self.locks.take();
        self.colours.tidy();
        self.lives.tidy();
        self.shapes.tidy();
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.colours.kept()
    }

    /// The objects of an overlay.
    pub(super) fn objects(
        &mut self,
        repo: &Repository,
        tree: Oid,
        overlay: &str,
    ) -> Result<Answer<Vec<Manifest>>, SourceError> {
        let question = overlay.to_owned();
        if let Some(kept) = self.objects.find(repo, &question, tree)? {
            return Ok(kept);
        }
        let files = GitTree::new(repo, tree).map_err(git("a tree cannot be read"))?;
        let answer = kustomize::build(&files, overlay).map(Arc::new).map_err(|problems| Blocked::Invalid { problems });
        Ok(self.objects.keep(&question, tree, Kept { reads: files.into_reads().shared(), answer }))
    }

    /// One colour's render.
    pub(super) fn colour(
        &mut self,
        repo: &Repository,
        tree: Oid,
        overlay: &str,
        colour: Colour,
    ) -> Result<Answer<Render>, SourceError> {
        let question = (overlay.to_owned(), colour);
        if let Some(kept) = self.colours.find(repo, &question, tree)? {
            return Ok(kept);
        }
        let objects = self.objects(repo, tree, overlay)?;
        let answer = objects.answer.clone().map(|objects| Arc::new(shape::render(&objects, colour)));
        Ok(self.colours.keep(&question, tree, Kept { reads: Arc::clone(&objects.reads), answer }))
    }

    /// What the live overlay tells, by the policy's words.
    pub(super) fn live(
        &mut self,
        repo: &Repository,
        tree: Oid,
        folder: &str,
        policy: &Policy,
    ) -> Result<Answer<LiveSide>, SourceError> {
        let question = live_question(folder, policy);
        if let Some(kept) = self.lives.find(repo, &question, tree)? {
            return Ok(kept);
        }
        let objects = self.objects(repo, tree, &question.0)?;
        let answer = objects.answer.clone().and_then(|objects| {
            shape::live_side(&objects, policy.selector_key.as_deref(), &policy.preview_services).map(Arc::new)
        });
        Ok(self.lives.keep(&question, tree, Kept { reads: Arc::clone(&objects.reads), answer }))
    }

    /// The app at a tree, checked, and its selector tried for being editable.
    pub(super) fn shape(
        &mut self,
        repo: &Repository,
        tree: Oid,
        app: &App,
        policy: &Policy,
    ) -> Result<Answer<Shape>, SourceError> {
        let question = (app.folder.clone(), policy.digest());
        if let Some(kept) = self.shapes.find(repo, &question, tree)? {
            return Ok(kept);
        }
        let mut reads = Reads::default();
        let mut parts = Vec::with_capacity(3);
        let mut problems = Vec::new();
        let overlays = &policy.overlays;
        for overlay in [&overlays.blue, &overlays.green, &overlays.live] {
            let objects = self.objects(repo, tree, &join(&app.folder, overlay))?;
            reads.merge(&objects.reads);
            match &objects.answer {
                Ok(manifests) => parts.push(Arc::clone(manifests)),
                Err(Blocked::Invalid { problems: more }) => {
                    // A broken base breaks both colours in the same words.
                    problems.extend(
                        more.iter().filter(|problem| !problems.contains(*problem)).cloned().collect::<Vec<_>>(),
                    );
                }
                Err(other) => {
                    let answer = Err(other.clone());
                    return Ok(self.shapes.keep(&question, tree, Kept { reads: reads.shared(), answer }));
                }
            }
        }
        let answer = match parts.as_slice() {
            [blue, green, live] => {
                let parts = Parts { colours: ByColour { blue: &blue[..], green: &green[..] }, live: &live[..] };
                shape::shape(&parts, policy)
            }
            _some_failed => Err(Blocked::Invalid { problems }),
        };
        let answer = match answer {
            Ok(mut shape) => {
                self.share(repo, tree, app, policy, &mut shape)?;
                Ok(Arc::new(shape))
            }
            Err(blocked) => Err(blocked),
        };
        let files = GitTree::new(repo, tree).map_err(git("a tree cannot be read"))?;
        let answer = answer.and_then(|shape| editable(&files, app, policy, &shape).map(|()| shape));
        reads.merge(&files.into_reads());
        Ok(self.shapes.keep(&question, tree, Kept { reads: reads.shared(), answer }))
    }

    /// A shape holds renders that are asked for by themselves, too: each is kept once.
    fn share(
        &mut self,
        repo: &Repository,
        tree: Oid,
        app: &App,
        policy: &Policy,
        shape: &mut Shape,
    ) -> Result<(), SourceError> {
        let overlays = &policy.overlays;
        for (colour, overlay) in [(Colour::Blue, &overlays.blue), (Colour::Green, &overlays.green)] {
            let question = (join(&app.folder, overlay), colour);
            match self.colours.find(repo, &question, tree)?.map(|kept| kept.answer.clone()) {
                Some(Ok(render)) => shape.renders[colour] = render,
                Some(Err(_)) => {}
                None => {
                    let reads = Arc::clone(&self.objects(repo, tree, &question.0)?.reads);
                    let answer = Ok(Arc::clone(&shape.renders[colour]));
                    self.colours.keep(&question, tree, Kept { reads, answer });
                }
            }
        }
        let question = live_question(&app.folder, policy);
        match self.lives.find(repo, &question, tree)?.map(|kept| kept.answer.clone()) {
            Some(Ok(side)) => shape.overlay = Arc::clone(&side.overlay),
            Some(Err(_)) => {}
            None => {
                let reads = Arc::clone(&self.objects(repo, tree, &question.0)?.reads);
                let Shape { key, live, previews, declared, overlay, .. } = shape.clone();
                let answer = Ok(Arc::new(LiveSide { key, live, previews, declared, overlay }));
                self.lives.keep(&question, tree, Kept { reads, answer });
            }
        }
        Ok(())
    }

    /// The policy that stands at a tree. Where none can be read there, `today`'s words are taken: what a broken
    /// turquoise.yaml meant is not asked of history.
    pub(super) fn policy_at(
        &mut self,
        repo: &Repository,
        tree: Oid,
        folder: &str,
        today: &Arc<Policy>,
    ) -> Result<Arc<Policy>, SourceError> {
        let root = repo.find_tree(tree).map_err(git("a tree cannot be read"))?;
        let path = join(folder, POLICY_FILE);
        let Probe::File(id) = tree::probe(&root, &path).map_err(git("a tree cannot be read"))? else {
            return Ok(Arc::clone(today));
        };
        if self.policies.len() >= POLICIES_MAX {
            self.policies.clear();
        }
        let read = || {
            let bytes = tree::read_blob(repo, id, POLICY_BYTES_MAX).ok()?;
            let policy = policy::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
            Some(if policy == **today { Arc::clone(today) } else { Arc::new(policy) })
        };
        Ok(self.policies.entry(id).or_insert_with(read).clone().unwrap_or_else(|| Arc::clone(today)))
    }

    /// A lock by its blob, read where it is not known: a look asks for the same one several times.
    pub(super) fn lock(&self, id: Oid, read: impl FnOnce() -> Result<Lock, SourceError>) -> Result<Lock, SourceError> {
        if let Some((_, lock)) = self.locks.borrow().iter().find(|(known, _)| *known == id) {
            return Ok(lock.clone());
        }
        let lock = read()?;
        let mut locks = self.locks.borrow_mut();
        if locks.len() >= LOCKS_MAX {
            locks.clear();
        }
        locks.push((id, lock.clone()));
        Ok(lock)
    }

    /// P at a tree.
    pub(super) fn pair(
        &mut self,
        repo: &Repository,
        tree: Oid,
        folder: &str,
        today: &Arc<Policy>,
    ) -> Result<Pair, SourceError> {
        let policy = self.policy_at(repo, tree, folder, today)?;
        let blue = self.colour(repo, tree, &join(folder, &policy.overlays.blue), Colour::Blue)?;
        let green = self.colour(repo, tree, &join(folder, &policy.overlays.green), Colour::Green)?;
        let mut reads = Reads::clone(&blue.reads);
        reads.merge(&green.reads);
        note_policy(repo, tree, folder, &mut reads)?;
        let digests = match (&blue.answer, &green.answer) {
            (Ok(blue), Ok(green)) => Some(ByColour { blue: blue.digest.clone(), green: green.digest.clone() }),
            (Err(_), _) | (_, Err(_)) => None,
        };
        Ok(Pair { digests, reads: Arc::new(reads) })
    }

    /// The colour that the selector names at a tree, with what that was read from. `None` where the live overlay
    /// cannot be rendered.
    pub(super) fn declared(
        &mut self,
        repo: &Repository,
        tree: Oid,
        folder: &str,
        today: &Arc<Policy>,
    ) -> Result<(Option<Declared>, Reads), SourceError> {
        let policy = self.policy_at(repo, tree, folder, today)?;
        let live = self.live(repo, tree, folder, &policy)?;
        let mut reads = Reads::clone(&live.reads);
        note_policy(repo, tree, folder, &mut reads)?;
        let declared = match &live.answer {
            Ok(side) => Some(side.declared.clone()),
            Err(Blocked::SelectorUnknown { found }) => Some(Declared::Unknown(found.to_string())),
            Err(_) => None,
        };
        Ok((declared, reads))
    }
}

fn live_question(folder: &str, policy: &Policy) -> LiveQuestion {
    (join(folder, &policy.overlays.live), policy.selector_key.clone(), policy.preview_services.clone())
}

fn note_policy(repo: &Repository, tree: Oid, folder: &str, reads: &mut Reads) -> Result<(), SourceError> {
    let root = repo.find_tree(tree).map_err(git("a tree cannot be read"))?;
    let path = join(folder, POLICY_FILE);
    reads.note(&path, tree::probe(&root, &path).map_err(git("a tree cannot be read"))?);
    Ok(())
}

/// Tries the edit of a flip, so that a selector that cannot be edited blocks before the release and not after it.
fn editable(files: &GitTree<'_>, app: &App, policy: &Policy, shape: &Shape) -> Outcome<()> {
    let Declared::Colour(declared) = shape.declared else { return Ok(()) };
    let selectors = selectors(shape, declared.other());
    kustomize::set_selectors(files, &join(&app.folder, &policy.overlays.live), &app.folder, &selectors)
        .map(|_edits| ())
        .map_err(|why| Blocked::SelectorNotEditable { why })
}

/// The selectors of a flip: live Services name the colour, previews the other one.
pub(super) fn selectors(shape: &Shape, live: Colour) -> Vec<Selector<'_>> {
    let live_side = shape.live.iter().map(|service| (service, live));
    let previews = shape.previews.iter().map(|service| (service, live.other()));
    let all = live_side.chain(previews);
    all.map(|(service, colour)| Selector { service, key: &shape.key, value: colour.as_str() }).collect()
}

/// The first words of what blocks.
pub(super) fn words(blocked: &Blocked) -> OneLine {
    OneLine::new(&blocked.to_string())
}

/// A path inside an app's folder; the empty folder is the root.
pub(super) fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}
