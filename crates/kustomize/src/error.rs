//! What went wrong, where, and how the build got there.

use std::collections::HashMap;
use std::fmt;

/// One problem of a build, for people: what, why, and often what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildError {
    /// The file, as a path in the tree.
    pub path: String,
    /// The line, from 1; 0 when the problem belongs to the file as a whole.
    pub line: usize,
    /// The column, from 1; 0 when unknown.
    pub column: usize,
    /// What happened, without a full stop.
    pub message: String,
    /// The kustomization files that led here, the top one first.
    pub chain: Vec<String>,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "." } else { &self.path };
        f.write_str(path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": {}", one_line(&self.message))?;
        let others: Vec<&str> = self.chain.iter().map(String::as_str).filter(|p| *p != self.path).collect();
        if !others.is_empty() {
            write!(f, " (by way of {})", others.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

/// Every problem that could be found before the build had to stop. Displayed one a line.
///
/// ```
/// use turquoise_kustomize::{Build, MemoryTree};
///
/// let tree = MemoryTree::new([
///     ("blue/kustomization.yaml", "resources: [../base]\n"),
///     ("base/kustomization.yaml", "resources:\n- one.yaml\n- two.yaml\n"),
/// ]);
/// let errors = Build::new(&tree, "blue").run().unwrap_err();
/// assert_eq!(errors.0.len(), 2);
/// assert_eq!((errors.0[1].path.as_str(), errors.0[1].line), ("base/kustomization.yaml", 3));
/// assert_eq!(errors.0[1].chain, ["blue/kustomization.yaml", "base/kustomization.yaml"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildErrors(pub Vec<BuildError>);

impl fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildErrors {}

impl From<BuildError> for BuildErrors {
    fn from(error: BuildError) -> Self {
        Self(vec![error])
    }
}

impl BuildErrors {
    /// File by file, in the order in which the build came upon them, and each from top to bottom.
    pub(crate) fn in_order(mut errors: Vec<BuildError>) -> Self {
        let mut files: HashMap<String, usize> = HashMap::new();
        for error in &errors {
            let next = files.len();
            files.entry(error.path.clone()).or_insert(next);
        }
        errors.sort_by_key(|error| (files.get(&error.path).copied(), error.line, error.column));
        Self(errors)
    }
}

/// Something worth saying that does not stop the build.
///
/// ```
/// use turquoise_kustomize::{Build, MemoryTree};
///
/// let tree = MemoryTree::new([("kustomization.yaml", "commonLabels: {a: b}\nresources: []\n")]);
/// let output = Build::new(&tree, "").run()?;
/// assert_eq!(output.warnings[0].to_string(), "kustomization.yaml:1: `commonLabels` is deprecated; use `labels`");
/// # Ok::<(), turquoise_kustomize::BuildErrors>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The file, as a path in the tree.
    pub path: String,
    /// The line, from 1; 0 when unknown.
    pub line: usize,
    /// What, without a full stop.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", one_line(&self.message))
    }
}

/// A place in a file. Line and column count from 1; 0 stands for unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A problem inside one step, before it is known which kustomization ran it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) message: String,
    /// Where it stands, if that is another place than the step's own.
    pub(crate) place: Option<(String, Position)>,
}

impl Problem {
    pub(crate) fn at(path: &str, position: Position, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Some((path.to_string(), position)) }
    }
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self { message, place: None }
    }
}

impl From<&str> for Problem {
    fn from(message: &str) -> Self {
        message.to_string().into()
    }
}

/// Messages quote input; line breaks in it would break the one-line form.
fn one_line(message: &str) -> String {
    const MESSAGE_CHARS_MAX: usize = 600;
    let mut out = String::with_capacity(message.len().min(MESSAGE_CHARS_MAX));
    for (i, c) in message.chars().enumerate() {
        if i == MESSAGE_CHARS_MAX {
            out.push('…');
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

/// The known name closest to an unknown one, if it is close enough to be a slip.
pub(crate) fn did_you_mean<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LENGTH_MAX: usize = 64;
    if unknown.len() > LENGTH_MAX {
        return None;
    }
    let wanted = unknown.to_lowercase();
    known
        .map(|name| (distance(&wanted, &name.to_lowercase()), name))
        .filter(|(d, name)| *d <= 1 + name.len().min(unknown.len()) / 4)
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, cb) in b.iter().enumerate() {
            let substitute = row.get(j).copied().unwrap_or(0) + usize::from(ca != *cb);
            let delete = row.get(j + 1).copied().unwrap_or(0) + 1;
            let insert = next.get(j).copied().unwrap_or(0) + 1;
            next.push(substitute.min(delete).min(insert));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_way() {
        let error = BuildError {
            path: "base/kustomization.yaml".into(),
            line: 7,
            column: 3,
            message: "unknown field\n`resorces`".into(),
            chain: vec!["overlays/blue/kustomization.yaml".into(), "base/kustomization.yaml".into()],
        };
        assert_eq!(
            error.to_string(),
            "base/kustomization.yaml:7:3: unknown field `resorces` (by way of overlays/blue/kustomization.yaml)"
        );
    }

    #[test]
    fn slips_are_guessed_and_nonsense_is_not() {
        let known = ["resources", "namespace", "namePrefix"];
        assert_eq!(did_you_mean("resorces", known.into_iter()), Some("resources"));
        assert_eq!(did_you_mean("NAMEPREFX", known.into_iter()), Some("namePrefix"));
        assert_eq!(did_you_mean("zebra", known.into_iter()), None);
    }
}
