//! The build: reads kustomizations from the top one down and runs what they say.

mod accumulate;
mod finish;
mod load;
pub(crate) mod manifests;
mod openapi;
mod origin;
mod plugins;
mod steps;
mod survey;
mod valueadd;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::{Config, Gathered};
use crate::error::{BuildError, BuildErrors, Position, Problem, Warning};
use crate::kustomization::{Kustomization, Var};
use crate::object::Output;
use crate::resource::Resource;
use crate::schema::CustomSchema;
use crate::tree::FileTree;
use crate::yaml::Budget;

/// Where the files may lie that a kustomization reads.
///
/// ```
/// use turquoise_kustomize::{Build, FileScope, MemoryTree};
///
/// let tree = MemoryTree::new([
///     ("overlay/kustomization.yaml", "resources: [../shared.yaml]\n"),
///     ("shared.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\n"),
/// ]);
/// assert!(Build::new(&tree, "overlay").run().is_err());
/// assert!(Build::new(&tree, "overlay").files(FileScope::Tree).run().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileScope {
    /// In or below the kustomization's own directory, as kubectl does.
    #[default]
    Kustomization,
    /// Anywhere in the tree, as `--load-restrictor=LoadRestrictionsNone` does.
    Tree,
}

/// One build of a kustomization in a tree.
///
/// The same tree and path always give the same output. All problems that can be found are reported together.
///
/// ```
/// use turquoise_kustomize::{Build, MemoryTree};
///
/// let tree = MemoryTree::new([("kustomization.yaml", "resorces: [a.yaml]\nnamespace: 7\n")]);
/// let errors = Build::new(&tree, "").run().unwrap_err();
/// assert_eq!(errors.to_string(), "\
/// kustomization.yaml:1:1: unknown field `resorces` in the kustomization; did you mean `resources`?
/// kustomization.yaml:2:1: `namespace` must be a string, not a number; put it in quotes");
/// ```
pub struct Build<'a, T: FileTree + ?Sized> {
    tree: &'a T,
    path: String,
    scope: FileScope,
}

impl<'a, T: FileTree + ?Sized> Build<'a, T> {
    /// A build of the kustomization in the directory `path` of the tree.
    pub fn new(tree: &'a T, path: &str) -> Self {
        Self { tree, path: path.to_string(), scope: FileScope::default() }
    }

    /// Changes where files may lie.
    #[must_use]
    pub fn files(mut self, scope: FileScope) -> Self {
        self.scope = scope;
        self
    }

    /// Renders.
    pub fn run(&self) -> Result<Output, BuildErrors> {
        let mut builder = Builder::new(self.tree, self.scope);
        builder.top(&self.path).map_err(BuildErrors::in_order)
    }
}

/// Problems that stop the build, with their places.
type Fallible<T> = Result<T, Vec<BuildError>>;

/// What has been gathered so far.
#[derive(Default)]
struct Accumulated {
    resources: Vec<Resource>,
    config: Gathered,
    vars: BTreeMap<String, Var>,
}

impl Accumulated {
    fn config(&self) -> &Config {
        self.config.get()
    }
}

/// One kustomization that is being run.
struct Frame {
    /// Its directory, links resolved.
    directory: String,
    /// Its file.
    path: String,
    /// The file's name.
    file_name: &'static str,
    kustomization: Kustomization,
    /// The way here as the kustomizations wrote it, for origin annotations.
    shown_directory: String,
}

struct Builder<'a, T: FileTree + ?Sized> {
    tree: &'a T,
    scope: FileScope,
    /// Directories and files of the kustomizations on the way to the present one.
    chain: Vec<(String, String)>,
    warnings: Vec<Warning>,
    files_read: usize,
    bytes_read: u64,
    kustomizations: usize,
    /// Bytes that replacements copied.
    copied: usize,
    budget: Budget,
    schema: Option<Rc<CustomSchema>>,
    schema_is_set: bool,
    build_metadata: Vec<String>,
}

impl<'a, T: FileTree + ?Sized> Builder<'a, T> {
    fn new(tree: &'a T, scope: FileScope) -> Self {
        Self {
            tree,
            scope,
            chain: Vec::new(),
            warnings: Vec::new(),
            files_read: 0,
            bytes_read: 0,
            kustomizations: 0,
            copied: 0,
            budget: Budget::default(),
            schema: None,
            schema_is_set: false,
            build_metadata: Vec::new(),
        }
    }

    /// Gives a problem its place and the way there.
    fn error(&self, problem: Problem, path: &str, position: Position) -> BuildError {
        let (path, position) = problem.place.unwrap_or_else(|| (path.to_string(), position));
        BuildError {
            path,
            line: position.line,
            column: position.column,
            message: problem.message,
            chain: self.chain.iter().map(|(_, file)| file.clone()).collect(),
        }
    }

    fn errors(&self, problems: Vec<Problem>, path: &str, position: Position) -> Vec<BuildError> {
        problems.into_iter().map(|problem| self.error(problem, path, position)).collect()
    }

    fn fail(&self, problem: impl Into<Problem>, path: &str, position: Position) -> Vec<BuildError> {
        vec![self.error(problem.into(), path, position)]
    }

    fn has_build_metadata(&self, option: &str) -> bool {
        self.build_metadata.iter().any(|known| known == option)
    }
}
