//! The floor: what a bare client reaches on the same machine in the same run. It applies the overlay, waits until it is
//! rolled out and patches the Service, without git, checks, records or guards.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::figures::ms_between;
use crate::journal::{Journal, LIVE, What};
use crate::releases::{Moments, VERSIONS, holds, other, selects};
use crate::stage::Stage;
use crate::traffic::Traffic;

/// After the first new answer, until the last old one has come: a request takes milliseconds.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// What the bare client reached.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    /// Its releases; each begins with the first apply.
    pub(crate) releases: Vec<Moments>,
    /// A patch of the selector to EndpointSlices on the other colour, both warm, in milliseconds.
    pub(crate) reverts: Vec<f64>,
}

struct Bare {
    client: Client,
    namespace: String,
    journal: Journal,
    services: Api<Service>,
}

/// Releases and reverts by a bare client.
pub(crate) async fn measure(stage: &Stage, releases: u32, reverts: u32) -> anyhow::Result<Floor> {
    let (client, name) = (stage.client().await?, stage.floor_namespace());
    if !stage.is_real() {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    }
    let bare = Bare {
        journal: Journal::start(&client, name, None),
        services: Api::namespaced(client.clone(), name),
        namespace: name.to_owned(),
        client,
    };
    stage.set_tag(VERSIONS[0])?;
    bare.roll_out(&stage.render("blue")?).await?;
    for object in stage.render("live")? {
        bare.apply(&object).await?;
    }
    let mut serving = "blue";
    let start = Instant::now();
    bare.flip(serving).await?;
    let traffic = Traffic::start(stage.live_address(&bare.client, name).await?);
    traffic.first_answer(VERSIONS[0], start).await?;

    let mut floor = Floor::default();
    for version in VERSIONS.iter().cycle().skip(1).take(usize::try_from(releases)?) {
        let candidate = other(serving);
        stage.set_tag(version)?;
        let objects = stage.render(candidate)?;
        let begun = Instant::now();
        bare.roll_out(&objects).await?;
        let endpoints = bare.flip(candidate).await?;
        let patched = bare.journal.first("the floor's switch", begun, |what| selects(what, candidate)).await?;
        let answered = traffic.first_answer(version, begun).await?;
        tokio::time::sleep(LAST_ANSWERS).await;
        let last_old = traffic.last_other(version, begun).context("nobody asked before")?;
        let (first_pod, last_ready) = bare.journal.pods_start(candidate, begun, endpoints)?;
        floor.releases.push(Moments { begun, first_pod, last_ready, patched, endpoints, answered, last_old });
        serving = candidate;
    }
    for _ in 0..reverts {
        serving = other(serving);
        let start = Instant::now();
        floor.reverts.push(ms_between(start, bare.flip(serving).await?));
    }
    Ok(floor)
}

impl Bare {
    async fn apply(&self, object: &Value) -> anyhow::Result<DynamicObject> {
        let text = |key: &str| object[key].as_str().with_context(|| format!("an object has no {key}"));
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let name = object["metadata"]["name"].as_str().context("an object has no name")?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        Ok(api.patch(name, &PatchParams::apply("bench").force(), &Patch::Apply(object)).await?)
    }

    /// Applies and waits until every Deployment's new generation is rolled out.
    async fn roll_out(&self, objects: &[Value]) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut wanted = Vec::new();
        for object in objects {
            let applied = self.apply(object).await?;
            if object["kind"] == "Deployment" {
                wanted.push((applied.name_any(), applied.metadata.generation.unwrap_or_default()));
            }
        }
        for (name, wanted) in wanted {
            let done = |what: &What| what.is_rolled_out(&name, wanted);
            self.journal.first("the floor's roll-out", start, done).await?;
        }
        Ok(())
    }

    /// Patches the selector; gives the moment at which the endpoints hold the colour.
    async fn flip(&self, colour: &str) -> anyhow::Result<Instant> {
        let start = Instant::now();
        let patch = json!({"spec": {"selector": {"colour": colour}}});
        self.services.patch(LIVE, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.journal.first("the floor's flip", start, |what| holds(what, colour)).await
    }
}
