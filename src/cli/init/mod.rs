//! `turquoise init`: overlays and a policy for manifests that are there already. Nothing that exists is changed.

mod files;
mod sort;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use turquoise_kustomize::{Build, FileTree, Folder, Overlay};

use super::render::work_tree;
use super::{NO, USAGE, check, plain};
use crate::core::policy::POLICY_FILE;
use crate::core::report::Blocked;
use files::Layout;

/// What kustomize looks for in a folder.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Manifests that are listed in a new kustomization: more than that is no folder of one app.
const MANIFESTS_MAX: usize = 500;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder with the manifests or the kustomization: it becomes the base
    #[arg(default_value = "base")]
    dir: PathBuf,
    /// The app's name [default: the name of the folder that holds DIR]
    #[arg(long)]
    name: Option<String>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &InitArgs) -> ExitCode {
    match init(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        Err((code, words)) => {
            eprintln!("error: {words}");
            ExitCode::from(code)
        }
    }
}

type Refusal = (u8, String);

fn init(args: &InitArgs) -> Result<bool, Refusal> {
    let usage = |words: String| (USAGE, words);
    let base =
        args.dir.canonicalize().map_err(|error| usage(format!("failed to read {}: {error}", args.dir.display())))?;
    let (app, tree) = places(&base, &args.dir).map_err(usage)?;
    let relative = |path: &Path| path.strip_prefix(&tree).unwrap_or(path).to_string_lossy().into_owned();
    let mut written: Vec<(PathBuf, String)> = Vec::new();
    if !KUSTOMIZATIONS.iter().any(|name| base.join(name).exists()) {
        let manifests = manifests(&base).map_err(usage)?;
        written.push((base.join("kustomization.yaml"), files::base(&manifests)));
    }
    let folder = Folder::new(&tree);
    let with_base =
        written.iter().fold(Overlay::new(&folder), |tree, (path, text)| tree.with(&relative(path), text.as_bytes()));
    let objects = render(&with_base, &relative(&base))?;
    let base_name = base.strip_prefix(&app).unwrap_or(&base).to_string_lossy().into_owned();
    let sorted = sort::sort(&objects).map_err(|words| (NO, words))?;
    let layout = Layout { name: name(args, &app), base: base_name, parts: &sorted };
    written.extend(layout.files().into_iter().map(|(path, text)| (app.join(path), text)));
    let there: Vec<String> = ["overlays", POLICY_FILE]
        .iter()
        .map(|name| app.join(name))
        .chain(written.iter().map(|(path, _)| path.clone()))
        .filter(|path| path.exists())
        .map(|path| path.strip_prefix(&app).unwrap_or(&path).display().to_string())
        .collect();
    if !there.is_empty() {
        return Err((NO, format!("{} is there already, and nothing is overwritten", there.join(", "))));
    }
    let shown = |path: &Path| plain(&path.strip_prefix(&app).unwrap_or(path).display().to_string());
    println!(
        "{} {} in {}:",
        if args.dry_run { "Would write" } else { "Wrote" },
        layout.name,
        plain(&app.display().to_string())
    );
    for (path, text) in &written {
        if !args.dry_run {
            write(path, text).map_err(|error| (USAGE, format!("failed to write {}: {error}", path.display())))?;
        }
        println!("  {}", shown(path));
    }
    layout.explain().iter().for_each(|line| println!("{}", plain(line)));
    if args.dry_run {
        return Ok(true);
    }
    Ok(verdict(&tree, &app))
}

/// The app's folder, and the tree that it is in. kustomize builds no overlay below its own base, so the base must be a
/// folder in the app's.
fn places(base: &Path, given: &Path) -> Result<(PathBuf, PathBuf), String> {
    let tree = work_tree(base);
    let app = base.parent().filter(|_| tree.as_deref() != Some(base));
    let Some(app) = app else {
        return Err(format!(
            "{} is the repository itself, and kustomize builds no overlay below its own base; move the manifests: mkdir base && git mv *.yaml base/ && turquoise init base",
            given.display()
        ));
    };
    Ok((app.to_path_buf(), tree.unwrap_or_else(|| app.to_path_buf())))
}

fn manifests(base: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(base).map_err(|error| format!("failed to read {}: {error}", base.display()))?;
    let names = entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .filter(|name| name != POLICY_FILE)
        .collect();
    names.sort();
    if names.is_empty() || names.len() > MANIFESTS_MAX {
        return Err(format!("{} holds {} manifests (*.yaml) and no kustomization", base.display(), names.len()));
    }
    Ok(names)
}

fn render(tree: &impl FileTree, base: &str) -> Result<Vec<serde_json::Value>, Refusal> {
    let output = Build::new(tree, base).run().map_err(|errors| (NO, format!("the base does not render:\n{errors}")))?;
    Ok(output.objects.into_iter().map(|object| object.to_json()).collect())
}

/// The given name, else the folder's, made fit for one.
fn name(args: &InitArgs, app: &Path) -> String {
    let folder = app.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = args.name.clone().unwrap_or(folder);
    let fit: String =
        name.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let fit: String = fit.trim_matches('-').chars().take(63).collect();
    if fit.is_empty() { "app".to_owned() } else { fit }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Never over a file that came there meanwhile.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

/// Whether a push of it as it stands would be released.
fn verdict(tree: &Path, app: &Path) -> bool {
    match check::check_app(tree, app) {
        Ok(()) => {
            println!("`turquoise check` says: good. Look at it, commit it and push.");
            true
        }
        Err(blocked) => {
            println!("`turquoise check` says what remains to be done:");
            if let Blocked::Invalid { problems } = &blocked {
                problems.iter().for_each(|problem| println!("  {problem}"));
            } else {
                println!("  {blocked}; {}", blocked.cure());
            }
            false
        }
    }
}
