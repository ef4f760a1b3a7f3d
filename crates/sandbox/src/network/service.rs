//! Allocating what a Service is given: its address and node ports.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::api::errors::FieldError;
use crate::network::addresses::{AddressError, Addresses};
use crate::object::{self, list, text};
use crate::world::World;

/// Gives a new or changed Service its address and node ports, keeping those it has.
pub(crate) fn allocate(world: &World, old: Option<&Value>, service: &mut Value) -> Result<(), FieldError> {
    let kind = text(service, "/spec/type").to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    cluster_ip(world, old, service)?;
    let had: Vec<u16> = old.into_iter().flat_map(node_ports).collect();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        let mut index = 0;
        for port in object::items_mut(&mut service["spec"], "ports") {
            let asked = port["nodePort"].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
            if !asked.is_some_and(|asked| had.contains(&asked)) {
                // A port that stays keeps its number when the client leaves it out.
                let kept = old.and_then(|old| kept_node_port(old, port));
                let number = match (asked, kept) {
                    (None, Some(kept)) => kept,
                    (asked, _) => world.addresses.node_port(asked).map_err(|error| {
                        FieldError::invalid(
                            format!("spec.ports[{index}].nodePort"),
                            &port["nodePort"],
                            &error.to_string(),
                        )
                    })?,
                };
                port["nodePort"] = json!(number);
            }
            index += 1;
        }
    } else {
        for port in object::items_mut(&mut service["spec"], "ports") {
            object::remove(port, "nodePort");
        }
    }
    let has: Vec<u16> = node_ports(service).collect();
    had.into_iter().filter(|port| !has.contains(port)).for_each(|port| world.addresses.release_node_port(port));
    Ok(())
}

fn cluster_ip(world: &World, old: Option<&Value>, service: &mut Value) -> Result<(), FieldError> {
    let had = old.map(|old| text(old, "/spec/clusterIP")).unwrap_or_default();
    let asked = text(service, "/spec/clusterIP").to_owned();
    let ports: Vec<u16> =
        list(service, "/spec/ports").iter().filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()).collect();
    let refuse = |error: AddressError, asked: &str| {
        FieldError::invalid("spec.clusterIPs", &json!([asked]), &format!("failed to allocate IP {asked}: {error}"))
    };
    let address = if !had.is_empty() {
        had.to_owned()
    } else if asked == "None" {
        asked
    } else if asked.is_empty() {
        let address = world.addresses.service(&ports).map_err(|error| refuse(error, ""))?;
        address.to_string()
    } else {
        let address = asked.parse::<Ipv4Addr>().ok().filter(|address| Addresses::is_service(*address));
        let Some(address) = address else {
            let why = format!(
                "failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid range. \
                               The range of valid IPs is 127.96.0.0/16"
            );
            return Err(FieldError::invalid("spec.clusterIPs", &json!([asked]), &why));
        };
        world.addresses.service_at(address, &ports).map_err(|error| refuse(error, &asked))?;
        asked
    };
    service["spec"]["clusterIP"] = json!(address);
    service["spec"]["clusterIPs"] = json!([address]);
    object::default(&mut service["spec"], "ipFamilies", json!(["IPv4"]));
    object::default(&mut service["spec"], "ipFamilyPolicy", "SingleStack");
    Ok(())
}

/// A change that leaves the allocated address out keeps it.
pub(crate) fn keep_allocated(old: &Value, new: &mut Value) {
    if old["spec"]["type"] == "ExternalName" || new["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(value) = old["spec"].get(field) {
            object::default(object::child(new, "spec"), field, value.clone());
        }
    }
}

/// Gives back what a deleted Service had.
pub(crate) fn release(world: &World, service: &Value) {
    if let Ok(address) = text(service, "/spec/clusterIP").parse() {
        world.addresses.release_service(address);
    }
    node_ports(service).for_each(|port| world.addresses.release_node_port(port));
}

fn node_ports(service: &Value) -> impl Iterator<Item = u16> {
    list(service, "/spec/ports")
        .iter()
        .filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
        .filter(|port| *port != 0)
}

fn kept_node_port(old: &Value, port: &Value) -> Option<u16> {
    let same = list(&old["spec"], "/ports").iter().find(|other| other["port"] == port["port"])?;
    u16::try_from(same["nodePort"].as_u64()?).ok().filter(|port| *port != 0)
}
