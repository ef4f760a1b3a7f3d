//! Services as real listeners: what kube-proxy and the DNS do in a cluster.

pub(crate) mod addresses;
pub(crate) mod proxy;
pub(crate) mod service;

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::object::{list, text};
use crate::resources::ENDPOINT_SLICES;
use crate::store::Store;

/// The label by which an EndpointSlice names its Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One endpoint of a Service, as its slices have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) address: Ipv4Addr,
    pub(crate) ready: bool,
    pub(crate) serving: bool,
    pub(crate) terminating: bool,
    /// The slice's ports: name and number.
    pub(crate) ports: Vec<(String, u16)>,
}

/// The endpoints of a Service in all its slices.
pub(crate) fn endpoints_of(store: &Store, namespace: &str, service: &str) -> Vec<Endpoint> {
    let (_, slices) = store.list(*ENDPOINT_SLICES, Some(namespace));
    let mut endpoints = Vec::new();
    for slice in slices {
        if slice["metadata"]["labels"][SERVICE_NAME] != service {
            continue;
        }
        let ports: Vec<_> = list(&slice, "/ports")
            .iter()
            .filter_map(|port| {
                let number = u16::try_from(port["port"].as_u64()?).ok()?;
                Some((text(port, "/name").to_owned(), number))
            })
            .collect();
        for endpoint in list(&slice, "/endpoints") {
            let flag = |name: &str, unknown: bool| endpoint["conditions"][name].as_bool().unwrap_or(unknown);
            for address in list(endpoint, "/addresses").iter().filter_map(Value::as_str) {
                if let Ok(address) = address.parse() {
                    let ready = flag("ready", true);
                    endpoints.push(Endpoint {
                        address,
                        ready,
                        serving: flag("serving", ready),
                        terminating: flag("terminating", false),
                        ports: ports.clone(),
                    });
                }
            }
        }
    }
    endpoints
}
