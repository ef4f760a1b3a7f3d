//! `turquoise check`: what would be blocked, from the files as they lie in the folder, before a push.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use turquoise_kustomize::{Build, Folder, edit};

use super::render::work_tree;
use super::{NO, USAGE};
use crate::config;
use crate::core::colour::{ByColour, Colour};
use crate::core::desired::Declared;
use crate::core::lock::{LOCK_FILE, Lock};
use crate::core::policy::{self, POLICY_FILE, Policy};
use crate::core::report::Blocked;
use crate::core::shape::{Manifest, Parts, shape};
use crate::core::text::OneLine;
use crate::source;

/// Folders below a repo: more than that is no repo of overlays.
const FOLDERS_MAX: usize = 100_000;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The repository's folder, or a folder in it
    #[arg(default_value = ".")]
    repo: PathBuf,
    /// Check a configuration file in place of a repository
    #[arg(long, value_name = "FILE", conflicts_with = "repo")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
    if let Some(file) = &args.config {
        return check_config(file);
    }
    let root = match args.repo.canonicalize() {
        Ok(root) => root,
        Err(error) => {
            eprintln!("error: failed to read {}: {error}", args.repo.display());
            return ExitCode::from(USAGE);
        }
    };
    let tree = work_tree(&root).unwrap_or_else(|| root.clone());
    let apps = find_apps(&root);
    if apps.is_empty() {
        eprintln!("error: no folder below {} holds a {POLICY_FILE}", root.display());
        return ExitCode::from(NO);
    }
    let mut good = true;
    let names: Vec<Option<String>> = apps.iter().map(|app| name_of(&tree, app)).collect();
    for (index, app) in apps.iter().enumerate() {
        if let Some(name) = &names[index]
            && names.iter().filter(|other| other.as_ref() == Some(name)).count() > 1
        {
            good = false;
            eprintln!(
                "{}: another app is named `{name}` too; give each its own `metadata.name`",
                app.join(POLICY_FILE).display()
            );
        }
        let shown = app.strip_prefix(&tree).unwrap_or(app).to_string_lossy().into_owned();
        match check_app(&tree, app) {
            Ok(()) => println!("{}: good", if shown.is_empty() { "." } else { &shown }),
            Err(blocked) => {
                good = false;
                if let Blocked::Invalid { problems } = &blocked {
                    problems.iter().for_each(|problem| eprintln!("{problem}"));
                } else {
                    eprintln!("{shown}: {blocked}; {}", blocked.cure());
                }
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::from(NO) }
}

/// Names every problem of a configuration file. Repositories and servers are not asked.
fn check_config(file: &Path) -> ExitCode {
    match config::read(file) {
        Ok(read) => {
            let mut good = true;
            for repo in &read.repos {
                if let Err(error) = source::check_location(&repo.location) {
                    eprintln!("{}: repository `{}`: {error}", file.display(), repo.name);
                    good = false;
                }
            }
            if !good {
                return ExitCode::from(NO);
            }
            println!("{}: good, {} repositories", file.display(), read.repos.len());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            ExitCode::from(NO)
        }
    }
}

/// Every folder that holds a turquoise.yaml, without following links.
fn find_apps(root: &Path) -> Vec<PathBuf> {
    let (mut apps, mut open, mut seen) = (Vec::new(), vec![root.to_path_buf()], 0);
    while let Some(folder) = open.pop() {
        seen += 1;
        if seen > FOLDERS_MAX {
            break;
        }
        let policy = folder.join(POLICY_FILE).symlink_metadata();
        if policy.is_ok_and(|policy| policy.is_file()) {
            apps.push(folder.clone());
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders =
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != ".git");
        open.extend(folders.map(|entry| entry.path()));
    }
    apps.sort();
    apps
}

pub(super) fn check_app(root: &Path, app: &Path) -> Result<(), Blocked> {
    let folder = app.strip_prefix(root).unwrap_or(app).to_string_lossy().into_owned();
    let join = |path: &str| if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
    let invalid = |words: String| Blocked::Invalid { problems: vec![OneLine::new(&words)] };
    let file = join(POLICY_FILE);
    let text = std::fs::read_to_string(app.join(POLICY_FILE)).map_err(|error| invalid(format!("{file}: {error}")))?;
    let policy: Policy = policy::parse(&text)
        .map_err(|problems| Blocked::Invalid { problems: problems.iter().map(|one| one.at(&file)).collect() })?;
    // At the root the repository's own name counts, which nobody knows here.
    let own_name = folder.rsplit('/').next().filter(|name| !name.is_empty() && policy.name.is_none());
    if let Some(problem) = own_name.and_then(|name| policy::wrong_default_name(&file, name)) {
        return Err(Blocked::Invalid { problems: vec![problem] });
    }
    let tree = Folder::new(root);
    let mut problems: Vec<OneLine> = lock_problem(app, &join(LOCK_FILE)).into_iter().collect();
    let mut render = |overlay: &str| match Build::new(&tree, &join(overlay)).run() {
        Ok(output) => output
            .objects
            .into_iter()
            .map(|object| Manifest { value: object.to_json(), file: object.origin.path, line: object.origin.line })
            .collect(),
        Err(errors) => {
            problems.extend(errors.0.iter().map(|error| OneLine::new(&error.to_string())));
            Vec::new()
        }
    };
    let colours = ByColour { blue: render(&policy.overlays.blue), green: render(&policy.overlays.green) };
    let live = render(&policy.overlays.live);
    if !problems.is_empty() {
        // Overlays share files: what is wrong there is said once, in the order of the files.
        let mut said = HashSet::new();
        problems.retain(|problem| said.insert(problem.clone()));
        return Err(Blocked::Invalid { problems });
    }
    let parts = Parts { colours: ByColour::from_fn(|colour: Colour| colours[colour].as_slice()), live: &live };
    let shape = shape(&parts, &policy)?;
    let declared = match &shape.declared {
        Declared::Colour(colour) => *colour,
        Declared::Unknown(found) => return Err(Blocked::SelectorUnknown { found: OneLine::new(found) }),
    };
    // The edit of a flip is tried, so that it does not fail when it is needed.
    let (live, previews) = (shape.live.iter(), shape.previews.iter());
    let selectors = live.map(|name| (name, declared.other())).chain(previews.map(|name| (name, declared)));
    let selectors: Vec<(&str, &str, &str)> =
        selectors.map(|(name, colour)| (name.as_str(), shape.key.as_str(), colour.as_str())).collect();
    match edit::set_service_selectors(&tree, &join(&policy.overlays.live), &folder, &selectors) {
        Ok(_) => Ok(()),
        Err(error) => Err(Blocked::SelectorNotEditable { why: OneLine::new(&error.to_string()) }),
    }
}

/// A lock that cannot be read blocks nothing, as a running turquoise restores it; but nobody means to commit one.
fn lock_problem(app: &Path, shown: &str) -> Option<OneLine> {
    let text = std::fs::read(app.join(LOCK_FILE)).ok()?;
    let why = match str::from_utf8(&text) {
        Ok(text) => {
            let error = Lock::parse(text).err()?;
            let place = if error.line == 0 { shown.to_owned() } else { format!("{shown}:{}", error.line) };
            format!("{place}: {}", error.message)
        }
        Err(_) => format!("{shown}: it is no text"),
    };
    Some(OneLine::new(&format!("{why}; turquoise writes this file: take back what changed it")))
}

/// The app's name: `metadata.name`, else its folder's.
fn name_of(root: &Path, app: &Path) -> Option<String> {
    let text = std::fs::read_to_string(app.join(POLICY_FILE)).ok()?;
    let policy = policy::parse(&text).ok()?;
    let folder = app.file_name().or_else(|| root.file_name()).map(|name| name.to_string_lossy().into_owned());
    policy.name.map(|name| name.to_string()).or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_an_app_is_found_in_its_policy_alone() {
        const GOOD: &str = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\n";
        let root = tempfile::tempdir().expect("a folder");
        for (folder, text, expect) in [
            ("Web_App", GOOD, "Web_App/turquoise.yaml: the folder's name `Web_App` is no app name"),
            ("web", "", "web/turquoise.yaml:"),
            (
                "shop",
                "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec: {wach: 5s}\n",
                "shop/turquoise.yaml:3: ",
            ),
        ] {
            let app = root.path().join(folder);
            std::fs::create_dir(&app).expect("a folder");
            std::fs::write(app.join(POLICY_FILE), text).expect("a policy");
            let Err(Blocked::Invalid { problems }) = check_app(root.path(), &app) else { panic!("{folder} is good") };
            let problem = problems[0].as_str();
            assert!(problem.starts_with(expect) && !problem.contains(":0:"), "{problem}");
        }
    }
}
