//! Whose the objects are that watches tell of without an app's label: pods, endpoints, and what is not labelled yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::AppName;

/// Names of workloads and Services, by namespace, and the apps that their newest look was about them. Lists and not sets: an
/// app has a handful of names, a name nearly always one app, and there may be thousands.
#[derive(Debug, Default)]
pub(super) struct Touches {
    /// The names sorted.
    apps: BTreeMap<AppName, (String, Box<[String]>)>,
    names: BTreeMap<(String, String), Vec<AppName>>,
}

impl Touches {
    /// Notes what an app's look was about, in place of what it was about before.
    pub(super) fn set(&mut self, app: &AppName, namespace: &str, names: BTreeSet<String>) {
        if self.apps.get(app).is_some_and(|known| known.0 == namespace && known.1.iter().eq(&names)) {
            return;
        }
        self.remove(app);
        for name in &names {
            let apps = self.names.entry((namespace.to_owned(), name.clone())).or_default();
            apps.reserve_exact(1);
            apps.push(app.clone());
        }
        self.apps.insert(app.clone(), (namespace.to_owned(), names.into_iter().collect()));
    }

    /// Forgets an app.
    pub(super) fn remove(&mut self, app: &AppName) {
        let Some((namespace, names)) = self.apps.remove(app) else { return };
        for name in names {
            let key = (namespace.clone(), name);
            if let Some(apps) = self.names.get_mut(&key) {
                apps.retain(|other| other != app);
                if apps.is_empty() {
                    self.names.remove(&key);
                }
            }
        }
    }

    /// Forgets all apps but these.
    pub(super) fn retain(&mut self, keep: impl Fn(&AppName) -> bool) {
        let gone: Vec<AppName> = self.apps.keys().filter(|app| !keep(app)).cloned().collect();
        gone.iter().for_each(|app| self.remove(app));
    }

    /// The apps that a name in a namespace is about.
    pub(super) fn apps(&self, namespace: &str, name: &str) -> impl Iterator<Item = &AppName> {
        self.names.get(&(namespace.to_owned(), name.to_owned())).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wakes_the_apps_that_looked_at_it_last() {
        let mut touches = Touches::default();
        let (shop, docs) = (AppName::new("shop"), AppName::new("docs"));
        touches.set(&shop, "a", ["web".to_owned(), "db".to_owned()].into());
        touches.set(&docs, "a", ["web".to_owned()].into());
        assert_eq!(touches.apps("a", "web").collect::<Vec<_>>(), [&shop, &docs]);
        assert_eq!(touches.apps("b", "web").count(), 0);
        touches.set(&shop, "b", ["web".to_owned()].into());
        assert_eq!(touches.apps("a", "db").count(), 0);
        assert_eq!(touches.apps("b", "web").collect::<Vec<_>>(), [&shop]);
        touches.retain(|app| *app == docs);
        assert_eq!((touches.apps("b", "web").count(), touches.names.len()), (0, 1));
    }
}
