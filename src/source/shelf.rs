//! Kept answers: each with what was read for it, found again for every tree at which the same stands there.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use git2::{Oid, Repository};

use super::error::{SourceError, git};
use super::reads::Reads;

/// Answers by tree. A look asks for a handful of commits; each app has shelves of its own.
const BY_TREE_MAX: usize = 64;

/// An answer and what was read for it.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub(super) reads: Arc<Reads>,
    pub(super) answer: T,
}

/// Answers to questions of one kind.
#[derive(Debug)]
pub(super) struct Shelf<Q, T> {
    /// Answers a question; the newest in use first.
    answers: HashMap<Q, VecDeque<Arc<Kept<T>>>>,
    by_tree: HashMap<(Q, Oid), Arc<Kept<T>>>,
    a_question_max: usize,
    by_tree_max: usize,
}

impl<Q: Hash + Eq + Clone, T> Shelf<Q, T> {
    /// A shelf that keeps at most so many answers a question.
    pub(super) fn new(a_question_max: usize) -> Self {
        Self { answers: HashMap::new(), by_tree: HashMap::new(), a_question_max, by_tree_max: BY_TREE_MAX }
    }

    /// The same, for large answers: at most so many in all, and none by tree alone.
    pub(super) fn bounded(self, by_tree_max: usize) -> Self {
        Self { by_tree_max, ..self }
    }

    /// Forgets every answer.
    pub(super) fn clear(&mut self) {
        self.answers = HashMap::new();
        self.by_tree = HashMap::new();
    }

    /// Forgets what was not asked for since this was called last, and at which trees the rest was found: it is found again
    /// by what it read.
    pub(super) fn tidy(&mut self) {
        let by_tree = std::mem::take(&mut self.by_tree);
        for answers in self.answers.values_mut() {
            answers.retain(|kept| by_tree.values().any(|used| Arc::ptr_eq(used, kept)));
            answers.shrink_to_fit();
        }
        self.answers.retain(|_, answers| !answers.is_empty());
        self.answers.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.answers.values().map(VecDeque::len).sum()
    }

    /// The answer for a tree, if it is known.
    pub(super) fn find(
        &mut self,
        repo: &Repository,
        question: &Q,
        tree: Oid,
    ) -> Result<Option<Arc<Kept<T>>>, SourceError> {
        let by_tree = (question.clone(), tree);
        if let Some(kept) = self.by_tree.get(&by_tree) {
            return Ok(Some(Arc::clone(kept)));
        }
        let Some(answers) = self.answers.get_mut(question) else { return Ok(None) };
        let root = repo.find_tree(tree).map_err(git("a tree cannot be read"))?;
        for index in 0..answers.len() {
            let Some(kept) = answers.get(index).map(Arc::clone) else { break };
            if kept.reads.hold_in(repo, &root).map_err(git("a tree cannot be read"))? {
                if let Some(kept) = answers.remove(index) {
                    answers.push_front(kept);
                }
                self.remember(by_tree, &kept);
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    /// Keeps an answer.
    pub(super) fn keep(&mut self, question: &Q, tree: Oid, kept: Kept<T>) -> Arc<Kept<T>> {
        let kept = Arc::new(kept);
        let answers = self.answers.entry(question.clone()).or_default();
        answers.push_front(Arc::clone(&kept));
        answers.truncate(self.a_question_max);
        self.remember((question.clone(), tree), &kept);
        kept
    }

    fn remember(&mut self, by_tree: (Q, Oid), kept: &Arc<Kept<T>>) {
        if self.by_tree.len() >= self.by_tree_max {
            self.by_tree.clear();
            if self.by_tree_max < BY_TREE_MAX {
                self.answers.clear();
            }
        }
        self.by_tree.insert(by_tree, Arc::clone(kept));
    }
}
