//! The situations of the design as stories, each with its transcript as a golden file.

mod broken;
mod dropped;
mod faults;
mod manual;
mod people;
mod releases;
mod workloads;

use turquoise::core::action::Action;
use turquoise::core::colour::Colour;
use turquoise::core::report::Plan;

use crate::world::git::{Author, Commit, Tree};
use crate::world::people::{Op, Which};
use crate::world::transcript::short;
use crate::world::{Progress, Retiring, Setup, World, judge};

pub(crate) use turquoise::core::colour::Colour::{Blue, Green};

/// A world, and what happened in it.
pub(crate) struct Story {
    pub(crate) world: World,
}

impl Story {
    /// Content 1 is live in blue, green is empty; auto promotion, `keep`.
    pub(crate) fn new() -> Self {
        Self::of(Setup::PLAIN)
    }

    pub(crate) fn of(setup: Setup) -> Self {
        let mut world = World::started(setup);
        world.transcript.begin();
        Self { world }
    }

    /// An empty cluster and a repo without a lock.
    pub(crate) fn before_the_first_deploy() -> Self {
        let mut world = World::empty(Setup::PLAIN);
        world.transcript.begin();
        Self { world }
    }

    pub(crate) fn scaling_to_zero() -> Self {
        Self::of(Setup { retiring: Retiring::Zero, ..Setup::PLAIN })
    }

    pub(crate) fn does(&mut self, op: Op) -> &mut Self {
        self.world.person(op).unwrap_or_else(|undone| panic!("{op} cannot be done: {undone:?}"));
        self.world.judge.acts += 1;
        self
    }

    pub(crate) fn bump(&mut self, version: u32) -> &mut Self {
        self.does(Op::Bump(version))
    }

    pub(crate) fn revert_last(&mut self) -> &mut Self {
        self.does(Op::Revert(Which::Last))
    }

    pub(crate) fn revert_flip(&mut self) -> &mut Self {
        self.does(Op::Revert(Which::Flip))
    }

    pub(crate) fn revert_rejection(&mut self) -> &mut Self {
        self.does(Op::Revert(Which::Rejection))
    }

    /// One commit of a person that changes whatever is named.
    pub(crate) fn commits(&mut self, subject: &str, change: impl FnOnce(&mut Tree)) -> &mut Self {
        let mut tree = self.world.git.tree().clone();
        change(&mut tree);
        self.world.git.push(Commit { tree, author: Author::Person, subject: subject.into(), facts: Vec::new() });
        let head = self.world.git.head();
        self.world.transcript.tell(|| format!("people     c{head}: {subject}"));
        self.world.judge.acts += 1;
        self
    }

    fn says(&mut self, line: &str) {
        self.world.transcript.tell(|| line.to_owned());
    }

    /// Goes on until the next action begins with these words, and stops before it.
    pub(crate) fn until(&mut self, words: &str) -> &mut Self {
        for _ in 0..judge::STEPS_TO_REST_MAX {
            if self.world.pending.front().is_some_and(|action| short(action).starts_with(words)) {
                return self;
            }
            assert_ne!(self.world.step(), Progress::Rest, "it rests before `{words}`");
        }
        panic!("`{words}` never comes");
    }

    /// The next action is done.
    pub(crate) fn done(&mut self) -> &mut Self {
        assert_eq!(self.world.step(), Progress::Acted, "an action was next");
        self
    }

    /// The process dies here, and a new one starts.
    pub(crate) fn is_killed(&mut self) -> &mut Self {
        self.does(Op::Kill)
    }

    /// Goes on until nothing is to be done.
    pub(crate) fn rests(&mut self) -> &mut Self {
        assert!(self.world.rest(), "it comes to rest\n{}", self.world.transcript.text());
        let state = |colour: Colour| {
            let objects = &self.world.cluster.colours[colour];
            let up = if objects.replicas() == 0 { ", down" } else { "" };
            objects.content().map_or_else(|| format!("{colour} empty"), |content| format!("{colour} {content}{up}"))
        };
        let live = self.world.cluster.serving().map_or("nothing".to_owned(), |colour| colour.to_string());
        let line = format!("at rest    {live} is live; {}, {}", state(Blue), state(Green));
        if !self.world.transcript.text().ends_with(&line) {
            self.says(&line);
        }
        self
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.world.facts.as_ref().expect("it has looked").plan
    }

    pub(crate) fn is_live(&mut self, colour: Colour, version: u32) -> &mut Self {
        assert_eq!(self.world.cluster.serving(), Some(colour), "{}", self.world.transcript.text());
        let content = self.world.cluster.colours[colour].content().map(|content| content.base);
        assert_eq!(content, Some(version), "{}", self.world.transcript.text());
        self
    }

    /// How often traffic moved since the beginning.
    pub(crate) fn flips(&mut self, count: usize) -> &mut Self {
        assert_eq!(self.world.judge.moves(), count, "flips\n{}", self.world.transcript.text());
        self
    }

    /// How many pods were ever started.
    pub(crate) fn pods(&self) -> usize {
        self.world.cluster.pods_started
    }

    pub(crate) fn checks_started(&self) -> usize {
        self.world.judge.checks
    }

    pub(crate) fn is_blocked(&mut self, reason: &str) -> &mut Self {
        let blocked = self.plan().blocked.as_ref().map(|blocked| blocked.as_str());
        assert_eq!(blocked, Some(reason), "{}", self.world.transcript.text());
        self
    }

    /// Rests, plans nothing more, and has violated nothing: the transcript.
    pub(crate) fn ends(&mut self) -> String {
        self.rests();
        self.world.judge_at_rest();
        assert_eq!(self.world.judge.violations, Vec::<String>::new(), "{}", self.world.transcript.text());
        assert_eq!(self.plan().actions, Vec::<Action>::new());
        self.says("and plans nothing more");
        self.world.transcript.text()
    }
}

/// Ends a story and compares its transcript with the golden one.
macro_rules! golden {
    ($name:literal, $story:expr) => {{
        let text = $story.ends();
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, text);
        });
    }};
}
pub(crate) use golden;
