//! What a check of the plan asks: its address, its Secrets, and what a webhook is told.

use super::{PassError, Reconciler, View};
use crate::checks::{Ask, Images, Place, Release, Secrets, What, Words};
use crate::core::ids::CommitId;
use crate::core::observed::CheckKey;
use crate::core::policy::{Asks, Check, Target};

impl Reconciler {
    /// What a check asks, with everything that it needs.
    pub(super) async fn ask(&self, check: &Check, key: &CheckKey, view: &View) -> Result<Option<Ask>, PassError> {
        let what = match &check.asks {
            Asks::Http(http) => {
                let place = match &http.target {
                    Target::Service { service: _, port, path } => Place::Service {
                        namespace: self.app_namespace().to_owned(),
                        service: key.target.clone(),
                        port: *port,
                        path: path.clone(),
                    },
                    Target::Url { url, live } => {
                        let url = if key.repeat { live.as_ref() } else { Some(url) };
                        let Some(url) = url else { return Ok(None) };
                        Place::Url(url.clone())
                    }
                };
                What::Http { http: http.clone(), place }
            }
            Asks::Webhook(webhook) => {
                What::Webhook { webhook: webhook.clone(), release: Box::new(self.release(key, view).await?) }
            }
        };
        let named = |name: &str| Some((name.to_owned(), self.grants.secrets.get(name)?.clone()));
        Ok(Some(Ask { what, secrets: Secrets(check.secrets().filter_map(named).collect()) }))
    }

    /// The release that a webhook decides about.
    async fn release(&self, key: &CheckKey, view: &View) -> Result<Release, PassError> {
        let revision = key.revision.clone();
        let (repo, (author, subject)) =
            self.git(move |repo, _app| Ok((repo.location().to_owned(), repo.words_of(&revision)?))).await?;
        let images = |revision: &CommitId, colour| {
            view.desired.render(revision, colour).map(|render| render.images.clone()).unwrap_or_default()
        };
        let live = view.observed.serving().colour().filter(|colour| *colour != key.colour);
        let old = live.and_then(|colour| Some((colour, view.observed.colours[colour].record.as_ref()?)));
        Ok(Release {
            id: key.id(&self.app.name),
            check: key.check.clone(),
            app: self.app.name.clone(),
            namespace: self.app_namespace().to_owned(),
            repo,
            branch: view.desired.branch.clone(),
            revision: key.revision.clone(),
            colour: key.colour,
            images: Images {
                old: old.map(|(colour, record)| images(&record.revision, colour)).unwrap_or_default(),
                new: images(&key.revision, key.colour),
            },
            commit: Words { author, subject },
            turquoise: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}
