//! Reads a kustomization file.

use super::decode::{Cursor, Placed, Problems};
use super::{Kustomization, OpenApi, parts};
use crate::error::{Position, Problem, Warning};
use crate::yaml::{self, Budget};

/// A kustomization file, and what it is warned about.
pub(crate) struct Parsed {
    pub(crate) kustomization: Kustomization,
    pub(crate) warnings: Vec<Warning>,
}

const FIELDS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

const DEPRECATED: [(&str, &str); 6] = [
    ("bases", "resources"),
    ("commonLabels", "labels"),
    ("imageTags", "images"),
    ("patchesJson6902", "patches"),
    ("patchesStrategicMerge", "patches"),
    ("vars", "replacements"),
];

/// Where a file begins.
const START: Position = Position { line: 1, column: 1 };

const EMPTY: &str = "the kustomization is empty; give it `resources`, and if there are none, `resources: []`";

/// Reads the text of the kustomization file at `path`; every problem of it is reported.
pub(crate) fn parse(path: &str, text: &str, budget: &Budget) -> Result<Parsed, Vec<Problem>> {
    let documents = yaml::last_wins_within(text, budget).map_err(|error| vec![error.problem(path, text)])?;
    let mut problems = Problems::new(path);
    let Some(document) = documents.first() else {
        problems.add(START, EMPTY);
        return Err(problems.list);
    };
    let mut reader =
        Reader { out: Kustomization::default(), bases: Vec::new(), image_tags: Vec::new(), seen: Vec::new() };
    let mut identity = Identity::default();
    let root = Cursor::new(&document.value, document.node.as_ref());
    root.fields("the kustomization", &FIELDS, &mut problems, |name, cursor, problems| {
        match name {
            "apiVersion" => identity.api_version = placed(cursor, cursor.string(name, problems)),
            "kind" => identity.kind = placed(cursor, cursor.string(name, problems)),
            _ => {
                let empty_string = cursor.value.as_str() == Some("");
                if !empty_string {
                    reader.seen.push((name, cursor.position));
                }
                reader.field(name, cursor, problems);
            }
        };
    });
    identity.check(&mut problems);
    if reader.seen.is_empty() && problems.list.is_empty() {
        problems.add(START, EMPTY);
    }
    if !problems.list.is_empty() {
        // In the order of the file.
        problems.list.sort_by_key(|problem| problem.place.as_ref().map(|(_, at)| (at.line, at.column)));
        return Err(problems.list);
    }
    let mut kustomization = reader.out;
    kustomization.is_component = identity.kind.value == "Component";
    kustomization.resources.extend(reader.bases);
    kustomization.images.extend(reader.image_tags);
    let repeated = document.repeated.iter().map(|(key, position)| {
        let message = format!("`{key}` is given a second time, and only the last one counts");
        Warning { path: path.into(), line: position.line, message }
    });
    let warnings = DEPRECATED
        .iter()
        .filter_map(|(old, new)| {
            let (_, position) = reader.seen.iter().find(|(name, _)| name == old)?;
            let message = format!("`{old}` is deprecated; use `{new}`");
            Some(Warning { path: path.into(), line: position.line, message })
        })
        .chain(repeated)
        .collect();
    Ok(Parsed { kustomization, warnings })
}

fn placed<T>(cursor: Cursor<'_>, value: T) -> Placed<T> {
    Placed { position: cursor.position, value }
}

#[derive(Default)]
struct Identity {
    api_version: Placed<String>,
    kind: Placed<String>,
}

impl Identity {
    fn check(&self, problems: &mut Problems<'_>) {
        let wanted = match self.kind.value.as_str() {
            "" | "Kustomization" => "kustomize.config.k8s.io/v1beta1",
            "Component" => "kustomize.config.k8s.io/v1alpha1",
            other => {
                let message = format!("kind is `{other}`; it must be `Kustomization` or `Component`");
                return problems.add(self.kind.position, message);
            }
        };
        let version = self.api_version.value.as_str();
        if !version.is_empty() && version != wanted {
            problems.add(self.api_version.position, format!("apiVersion is `{version}`; it must be `{wanted}`"));
        }
    }
}

struct Reader {
    out: Kustomization,
    bases: Vec<Placed<String>>,
    image_tags: Vec<Placed<crate::transform::Image>>,
    /// The fields that are there.
    seen: Vec<(&'static str, Position)>,
}

impl Reader {
    fn field(&mut self, name: &'static str, c: Cursor<'_>, p: &mut Problems<'_>) {
        let out = &mut self.out;
        match name {
            "resources" => out.resources = c.placed_strings(name, p),
            "bases" => self.bases = c.placed_strings(name, p),
            "components" => out.components = c.placed_strings(name, p),
            "crds" => out.crds = c.placed_strings(name, p),
            "configurations" => out.configurations = c.placed_strings(name, p),
            "generators" => out.generators = c.placed_strings(name, p),
            "transformers" => out.transformers = c.placed_strings(name, p),
            "validators" => out.validators = c.placed_strings(name, p),
            "patchesStrategicMerge" => out.patches_strategic_merge = c.placed_strings(name, p),
            "namePrefix" => out.name_prefix = placed(c, c.string(name, p)),
            "nameSuffix" => out.name_suffix = placed(c, c.string(name, p)),
            "namespace" => out.namespace = placed(c, c.string(name, p)),
            "commonLabels" => out.common_labels = placed(c, c.string_map(name, p)),
            "commonAnnotations" => out.common_annotations = placed(c, c.string_map(name, p)),
            "labels" => out.labels = list(c, name, p, parts::label),
            "patches" => out.patches = list(c, name, p, parts::patch),
            "patchesJson6902" => out.patches_json6902 = list(c, name, p, parts::patch),
            "images" => out.images = list(c, name, p, parts::image),
            "imageTags" => self.image_tags = list(c, name, p, parts::image),
            "replacements" => out.replacements = list(c, name, p, parts::replacement_entry),
            "replicas" => out.replicas = list(c, name, p, parts::replica),
            "vars" => out.vars = list(c, name, p, parts::var),
            "configMapGenerator" => {
                out.config_map_generator = list(c, name, p, |c, p| parts::generator(c, false, p));
            }
            "secretGenerator" => out.secret_generator = list(c, name, p, |c, p| parts::generator(c, true, p)),
            "generatorOptions" => out.generator_options = Some(parts::generator_options(c, p)),
            "sortOptions" => out.sort_options = Some(placed(c, parts::sort_options(c, p))),
            "buildMetadata" => out.build_metadata = build_metadata(c, name, p),
            "openapi" => out.openapi = placed(c, openapi(c, p)),
            "metadata" => metadata(c, p),
            _ => p.add(c.position, format!(
                "`{name}` is not supported: Helm is never run; render the chart with `helm template`, commit the result and list it in `resources`"
            )),
        }
    }
}

fn list<T>(
    c: Cursor<'_>,
    name: &str,
    p: &mut Problems<'_>,
    read: impl Fn(Cursor<'_>, &mut Problems<'_>) -> T,
) -> Vec<Placed<T>> {
    c.items(name, p).into_iter().map(|item| placed(item, read(item, p))).collect()
}

fn metadata(c: Cursor<'_>, p: &mut Problems<'_>) {
    c.fields("`metadata`", &["name", "namespace", "labels", "annotations"], p, |name, c, p| match name {
        "name" | "namespace" => drop(c.string(name, p)),
        _ => drop(c.string_map(name, p)),
    });
}

fn openapi(c: Cursor<'_>, p: &mut Problems<'_>) -> OpenApi {
    let mut openapi = OpenApi::default();
    c.fields("`openapi`", &["path", "version"], p, |name, c, p| match name {
        "path" => openapi.path = c.string(name, p),
        _ => openapi.version = c.string(name, p),
    });
    openapi
}

fn build_metadata(c: Cursor<'_>, name: &str, p: &mut Problems<'_>) -> Vec<String> {
    let known = ["originAnnotations", "transformerAnnotations", "managedByLabel"];
    let values = c.placed_strings(name, p);
    for value in &values {
        if !known.contains(&value.value.as_str()) {
            p.add(value.position, format!("unknown build metadata `{}`; known are {}", value.value, known.join(", ")));
        }
    }
    values.into_iter().map(|value| value.value).collect()
}
