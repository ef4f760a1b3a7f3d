//! The files that `turquoise init` writes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::sort::{LiveService, Sorted};
use crate::core::colour::Colour;

/// What is written where.
pub(super) struct Layout<'a> {
    pub(super) name: String,
    /// The base's folder, relative to the app's.
    pub(super) base: String,
    pub(super) parts: &'a Sorted,
}

/// A kustomization for manifests that had none.
pub(super) fn base(manifests: &[String]) -> String {
    let mut text = String::from("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\nresources:\n");
    for manifest in manifests {
        text.push_str(&format!("  - {}\n", scalar(manifest)));
    }
    text
}

impl Layout<'_> {
    /// Every file, relative to the app's folder.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = Colour::BOTH
            .into_iter()
            .map(|colour| (format!("overlays/{colour}/kustomization.yaml"), self.colour(colour)))
            .collect();
        files.push(("overlays/live/kustomization.yaml".into(), self.live()));
        for service in &self.parts.live {
            files.push((format!("overlays/live/{}.yaml", service.name), self.selector(service)));
            files.push((format!("overlays/live/{}-preview.yaml", service.name), self.preview(service)));
        }
        files.push(("turquoise.yaml".into(), self.policy()));
        files
    }

    /// What was done, for the person.
    pub(super) fn explain(&self) -> Vec<String> {
        let parts = self.parts;
        let names = |kinds: &BTreeSet<(String, String)>| {
            kinds.iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>().join(", ")
        };
        let live: Vec<&str> = parts.live.iter().map(|service| service.name.as_str()).collect();
        let inner: Vec<&str> = parts.inner.iter().map(|service| service.name.as_str()).collect();
        let mut lines = vec![
            format!("Each colour gets its own copy of: {}", names(&parts.coloured)),
            format!(
                "Traffic goes through: {} (and {}-preview shows the other colour)",
                live.join(", "),
                live.join("-preview, ")
            ),
        ];
        if !inner.is_empty() {
            lines.push(format!("Called by the app itself, so each colour has its own: {}", inner.join(", ")));
        }
        if !parts.shared.is_empty() || !parts.other.is_empty() {
            let mut shared: Vec<String> = parts.shared.iter().map(|(_, kind)| kind.clone()).collect();
            shared.extend(parts.other.iter().map(|name| format!("Service {name}")));
            lines.push(format!("Shared by both colours: {}", shared.join(", ")));
        }
        if !parts.left_out.is_empty() {
            lines.push(format!(
                "Left out, because turquoise applies nothing of the whole cluster: {}",
                names(&parts.left_out)
            ));
        }
        if let Some(namespace) = &parts.namespace {
            lines.push(format!("The objects name the namespace {namespace}: start turquoise with a kubeconfig of it, or `--allow-namespace {namespace}`"));
        }
        lines
    }

    fn header(&self, words: &str) -> String {
        format!(
            "# {words}\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\nresources:\n  - ../../{}\n",
            self.base
        )
    }

    fn colour(&self, colour: Colour) -> String {
        let parts = self.parts;
        let mut text = self.header(&format!("{colour}: a full copy of what runs."));
        let _ok = write!(
            text,
            "\nnameSuffix: -{colour}\n\nlabels:\n  - pairs:\n      colour: {colour}\n    includeSelectors: true\n"
        );
        text.push_str("\n# What both colours share stands in ../live.\npatches:\n");
        for (version, kind) in parts.shared.iter().chain(&parts.left_out) {
            text.push_str(&delete_kind(version, kind));
        }
        let shared = parts.live.iter().map(|service| &service.name).chain(&parts.other);
        shared.for_each(|name| text.push_str(&delete_service(name)));
        if !parts.inner.is_empty() {
            text.push_str(
                "\n# The tiers of a colour talk to each other, never to the other colour's.\nreplacements:\n",
            );
        }
        for inner in &parts.inner {
            let _ok = write!(text, "  - source:\n      kind: Service\n      name: {}\n    targets:\n", inner.name);
            for (kind, workload, container, variable) in &inner.callers {
                let _ok = write!(
                    text,
                    "      - select:\n          kind: {kind}\n          name: {workload}\n        fieldPaths:\n          - spec.template.spec.containers.[name={container}].env.[name={variable}].value\n"
                );
            }
        }
        text
    }

    fn live(&self) -> String {
        let parts = self.parts;
        let mut text =
            self.header("What both colours share: the Services that take traffic, routes, accounts, volumes.");
        for service in &parts.live {
            let _ok = writeln!(text, "  - {}-preview.yaml", service.name);
        }
        text.push_str("\npatches:\n");
        for service in &parts.live {
            let _ok = writeln!(text, "  - path: {}.yaml", service.name);
        }
        for (version, kind) in parts.coloured.iter().chain(&parts.left_out) {
            text.push_str(&delete_kind(version, kind));
        }
        parts.inner.iter().for_each(|inner| text.push_str(&delete_service(&inner.name)));
        text
    }

    fn selector(&self, service: &LiveService) -> String {
        format!(
            "# Which colour takes traffic. turquoise edits this one word.\napiVersion: v1\nkind: Service\nmetadata:\n  name: {}\nspec:\n  selector:\n    colour: blue\n",
            service.name
        )
    }

    fn preview(&self, service: &LiveService) -> String {
        let mut text = format!(
            "# Shows the colour that is not live: what is about to be released is checked here.\napiVersion: v1\nkind: Service\nmetadata:\n  name: {}-preview\n",
            service.name
        );
        if let Some(namespace) = &self.parts.namespace {
            let _ok = writeln!(text, "  namespace: {}", scalar(namespace));
        }
        text.push_str("spec:\n  selector:\n");
        for (key, value) in service.selector.iter().filter(|(key, _)| *key != "colour") {
            let _ok = writeln!(text, "    {}: {}", scalar(key), scalar(value));
        }
        text.push_str("    colour: green\n  ports:\n");
        for port in &service.ports {
            // JSON is YAML.
            let _ok = writeln!(text, "    - {port}");
        }
        text
    }

    fn policy(&self) -> String {
        let mut text = format!(
            "# The release policy. `turquoise check` says what is wrong with it before a push.\napiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nmetadata:\n  name: {}\n\nspec:\n",
            self.name
        );
        if let Some(namespace) = &self.parts.namespace {
            let _ok = writeln!(text, "  namespace: {}\n", scalar(namespace));
        }
        text.push_str("  # What a candidate must answer before it may go live.\n");
        let probed: Vec<_> = self.parts.live.iter().filter_map(|one| Some((&one.name, one.probe.as_ref()?))).collect();
        if probed.is_empty() {
            let service = self.parts.live.first().map_or("web", |one| one.name.as_str());
            let _ok = write!(
                text,
                "  checks: []\n  # - name: smoke\n  #   http: {{service: {service}-preview, port: 80, path: /}}\n"
            );
        } else {
            text.push_str("  checks:\n");
        }
        for (index, (name, (port, path))) in probed.iter().enumerate() {
            let check = if probed.len() > 1 { format!("smoke-{}", index + 1) } else { "smoke".to_owned() };
            let _ok = write!(
                text,
                "    - name: {check}\n      http:\n        service: {name}-preview\n        port: {port}\n        path: {}\n",
                scalar(path)
            );
        }
        text.push_str(
            "\n  # The old colour stays, so that `git revert` is a switch without new pods.\n  retire: keep\n",
        );
        text
    }
}

/// A patch that takes every object of a kind out. The name in it stands for all that the target selects.
fn delete_kind(version: &str, kind: &str) -> String {
    format!(
        "  - target:\n      kind: {kind}\n    patch: |\n      $patch: delete\n      apiVersion: {version}\n      kind: {kind}\n      metadata:\n        name: any\n"
    )
}

fn delete_service(name: &str) -> String {
    format!(
        "  - target:\n      kind: Service\n      name: {name}\n    patch: |\n      $patch: delete\n      apiVersion: v1\n      kind: Service\n      metadata:\n        name: {name}\n"
    )
}

/// A YAML scalar: plain where it is a plain word, else as JSON has it.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
