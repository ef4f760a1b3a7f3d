//! What `kubectl kustomize` prints, rendered natively: exact, fast, and safe on hostile input.
//!
//! ```
//! use turquoise_kustomize::{Build, MemoryTree};
//!
//! let tree = MemoryTree::new([
//!     ("base/kustomization.yaml", "resources: [service.yaml]\n"),
//!     ("base/service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n"),
//!     ("blue/kustomization.yaml", "resources: [../base]\nnameSuffix: -blue\n"),
//! ]);
//! let output = Build::new(&tree, "blue").run()?;
//! assert_eq!(output.to_yaml(), "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop-blue\n");
//! # Ok::<(), turquoise_kustomize::BuildErrors>(())
//! ```
//!
//! A [`Build`] reads from a [`FileTree`]: a [`Folder`], a [`MemoryTree`], or an implementation of yours, such as a git tree at a
//! commit. It never touches the network, runs nothing, follows no path out of the tree, and stays within the [`limits`].
#![forbid(unsafe_code)]

mod build;
mod config;
pub mod edit;
mod error;
mod fieldspec;
mod generate;
mod kustomization;
pub mod limits;
mod names;
mod object;
mod order;
mod patch;
mod replacement;
mod resource;
mod schema;
mod shared;
mod transform;
mod tree;
mod value;
mod vars;
pub mod yaml;

pub use build::{Build, FileScope};
pub use error::{BuildError, BuildErrors, Position, Warning};
pub use object::{Object, Output};
pub use resource::Origin;
pub use tree::{EntryKind, FileTree, Folder, MemoryTree, Overlay, TreeError};
