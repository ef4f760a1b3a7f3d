//! What a container's process is told: its arguments, its environment, its port.

use std::sync::Arc;

use serde_json::Value;
use turquoise_shop::{Log, Settings, Task, Tier};

use crate::images::Program;
use crate::kubelet::pod::Shared;
use crate::object::{list, text};
use crate::resources::{CONFIG_MAPS, SECRETS};
use crate::store::Key;

/// Why a container can't start.
pub(super) struct NoStart {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The port that the process listens on: what `PORT` says, else the container's first port, else the shop's own.
pub(super) fn listening_port(spec: &Value) -> u16 {
    let told = list(spec, "/env")
        .iter()
        .find(|variable| variable["name"] == "PORT")
        .and_then(|variable| variable["value"].as_str());
    let first = list(spec, "/ports").first().and_then(|port| u16::try_from(port["containerPort"].as_u64()?).ok());
    told.and_then(|port| port.parse().ok()).or(first).unwrap_or(8080)
}

/// What runs in a container: a server, or a task that ends by itself.
pub(super) enum Process {
    Server(Box<Settings>),
    Task(Task, Log),
}

/// What the process is told: its arguments, and its environment resolved as a kubelet does.
pub(super) fn process(shared: &Arc<Shared>, pod: &Value, spec: &Value, program: &Program) -> Result<Process, NoStart> {
    let environment = environment(shared, pod, spec)?;
    let var = |name: &str| environment.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let words = || list(spec, "/command").iter().chain(list(spec, "/args")).filter_map(Value::as_str);
    let (world, key, container) = (Arc::clone(&shared.world), shared.key.clone(), text(spec, "/name").to_owned());
    let log: Log = Arc::new(move |line| world.logs.push(&key, &container, world.options.clock.micros(), line));
    let fault = program.fault.or_else(|| var("SHOP_FAULT")?.parse().ok());
    if let Some(task) = Task::read(words(), &program.version, fault, var) {
        return Ok(Process::Task(task, log));
    }
    let words = words();
    let tier = words.into_iter().find_map(|word| match word {
        "frontend" => Some(Tier::Frontend),
        "backend" => Some(Tier::Backend),
        _ => None,
    });
    // An image that is no shop's has no tiers: with a backend it is a frontend, else it stands alone.
    let tier = tier.unwrap_or(if var("BACKEND_HOST").is_some() { Tier::Frontend } else { Tier::Backend });
    let mut settings = Settings::new(tier, program.version.clone());
    settings.fault = fault;
    settings.pod = shared.key.name.clone();
    if let Some(greeting) = var("GREETING") {
        settings.greeting = greeting;
    }
    settings.backend = var("BACKEND_HOST").map(|host| {
        let port = var("BACKEND_PORT").and_then(|port| port.parse().ok()).unwrap_or(8080);
        (host, port)
    });
    settings.log = log;
    Ok(Process::Server(Box::new(settings)))
}

fn environment(shared: &Shared, pod: &Value, spec: &Value) -> Result<Vec<(String, String)>, NoStart> {
    let mut environment = Vec::new();
    let look = |secret: bool, name: &str, optional: &Value| {
        let resource = if secret { *SECRETS } else { *CONFIG_MAPS };
        let found = shared.world.store.get(&Key::new(resource, shared.key.namespace.clone(), name));
        if found.is_none() && *optional != true {
            let message = format!("{} {name:?} not found", resource.singular);
            return Err(NoStart { reason: "CreateContainerConfigError", message });
        }
        Ok(found)
    };
    for source in list(spec, "/envFrom") {
        let prefix = text(source, "/prefix");
        for (field, secret) in [("configMapRef", false), ("secretRef", true)] {
            let Some(reference) = source.get(field).filter(|reference| reference.is_object()) else { continue };
            if let Some(found) = look(secret, text(reference, "/name"), &reference["optional"])? {
                for (name, value) in crate::object::map(&found, "/data").into_iter().flatten() {
                    environment.push((format!("{prefix}{name}"), plain(value, secret)));
                }
            }
        }
    }
    for variable in list(spec, "/env") {
        let name = text(variable, "/name").to_owned();
        let from = &variable["valueFrom"];
        let value = if let Some(value) = variable["value"].as_str() {
            value.to_owned()
        } else if let Some(field) = from["fieldRef"]["fieldPath"].as_str() {
            field_value(shared, pod, field)
        } else if let Some((reference, secret)) = key_reference(from) {
            let key = text(reference, "/key");
            let found = look(secret, text(reference, "/name"), &reference["optional"])?;
            match found.as_ref().and_then(|found| found["data"].get(key)) {
                Some(value) => plain(value, secret),
                None if reference["optional"] == true => continue,
                None => {
                    let kind = if secret { "Secret" } else { "ConfigMap" };
                    let message = format!(
                        "couldn't find key {key} in {kind} {}/{}",
                        shared.key.namespace,
                        text(reference, "/name")
                    );
                    return Err(NoStart { reason: "CreateContainerConfigError", message });
                }
            }
        } else {
            String::new()
        };
        environment.push((name, value));
    }
    Ok(environment)
}

fn key_reference(from: &Value) -> Option<(&Value, bool)> {
    let of = |field: &str| from.get(field).filter(|reference| reference.is_object());
    of("configMapKeyRef")
        .map(|reference| (reference, false))
        .or_else(|| of("secretKeyRef").map(|reference| (reference, true)))
}

fn field_value(shared: &Shared, pod: &Value, field: &str) -> String {
    match field {
        "status.podIP" | "status.podIPs" => shared.address.to_string(),
        "status.hostIP" => "127.0.0.1".to_owned(),
        "spec.nodeName" => super::NODE.to_owned(),
        field => {
            let (path, key) = match field.split_once("['") {
                Some((path, key)) => (path, Some(key.trim_end_matches("']"))),
                None => (field, None),
            };
            let value = pod.pointer(&format!("/{}", path.replace('.', "/")));
            let value = match key {
                Some(key) => value.and_then(|map| map.get(key)),
                None => value,
            };
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    }
}

fn plain(value: &Value, secret: bool) -> String {
    let value = value.as_str().unwrap_or_default();
    if !secret {
        return value.to_owned();
    }
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
