//! `turquoise render`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use turquoise_kustomize::{Build, FileScope, Folder};

use super::{NO, USAGE};

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// The kustomization's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Nothing outside this directory is read [default: the enclosing git work tree]
    #[arg(long)]
    root: Option<PathBuf>,
    /// `LoadRestrictionsNone` reads files outside the kustomization's own directory, as kubectl does
    #[arg(long, value_name = "NAME")]
    load_restrictor: Option<String>,
}

pub(super) fn run(args: &RenderArgs) -> ExitCode {
    let scope = match args.load_restrictor.as_deref() {
        None | Some("LoadRestrictionsRootOnly") => FileScope::Kustomization,
        Some("LoadRestrictionsNone") => FileScope::Tree,
        Some(other) => {
            eprintln!("error: `{other}` is no load restrictor; write LoadRestrictionsRootOnly or LoadRestrictionsNone");
            return ExitCode::from(USAGE);
        }
    };
    let (root, path) = match locate(&args.dir, args.root.as_deref()) {
        Ok(found) => found,
        Err(words) => {
            eprintln!("error: {words}");
            return ExitCode::from(USAGE);
        }
    };
    match Build::new(&Folder::new(&root), &path).files(scope).run() {
        Ok(output) => {
            let slash = if root == Path::new("/") { "/" } else { "" };
            for warning in &output.warnings {
                eprintln!("warning: {slash}{warning}");
            }
            print!("{}", output.to_yaml());
            ExitCode::SUCCESS
        }
        Err(mut errors) => {
            if root == Path::new("/") {
                // Outside git the tree is the whole file system: a path in it is one from its root.
                for error in &mut errors.0 {
                    error.path.insert(0, '/');
                    error.chain.iter_mut().for_each(|path| path.insert(0, '/'));
                }
            }
            eprintln!("{errors}");
            ExitCode::from(NO)
        }
    }
}

/// The tree's root, and the directory in it. Outside git nothing confines directories, as with kubectl.
fn locate(dir: &Path, root: Option<&Path>) -> Result<(PathBuf, String), String> {
    let resolve =
        |path: &Path| path.canonicalize().map_err(|error| format!("failed to read {}: {error}", path.display()));
    // The work tree in which the path is written: a link in it that leads out of it is refused.
    let written = std::path::absolute(dir).map_err(|error| format!("failed to read {}: {error}", dir.display()))?;
    let dir = resolve(dir)?;
    let root = match root {
        Some(root) => resolve(root)?,
        None => match work_tree(&written).or_else(|| work_tree(&dir)) {
            Some(tree) => resolve(&tree)?,
            None => PathBuf::from("/"),
        },
    };
    let inside = dir.strip_prefix(&root).map_err(|_| format!("{} is not inside {}", dir.display(), root.display()))?;
    let path = inside.to_str().ok_or_else(|| format!("{} is not UTF-8", dir.display()))?.to_owned();
    Ok((root, path))
}

/// The enclosing git work tree: the nearest folder with a `.git`.
pub(super) fn work_tree(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_path_buf)
}
