//! Loopback addresses for Services and pods, so that sandboxes never share one, also in other processes.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Services live in 127.96.0.0/16.
const SERVICES_SECOND_OCTET: u8 = 96;

/// Pods live in 127.97.0.0/16.
const PODS_SECOND_OCTET: u8 = 97;

/// A sandbox claims a block of 256 addresses by holding this UDP port on the block's first address: a claim that every
/// process on the machine sees, and that ends with its holder however it ends. Outside the ephemeral range and unassigned.
const CLAIM_PORT: u16 = 9796;

/// The node ports of a cluster.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Node ports tried before giving up; each try is one bind.
const NODE_PORT_TRIES_MAX: usize = 200;

/// Addresses tried for one Service; more failures mean that something listens on its port on all addresses.
const SERVICE_TRIES_MAX: usize = 16;

/// The sandbox's addresses.
pub(crate) struct Addresses {
    services: Mutex<Pool>,
    pods: Mutex<Pool>,
    node_ports: Mutex<HashSet<u16>>,
}

struct Pool {
    second: u8,
    /// The third octets of our blocks; each socket is the claim.
    blocks: Vec<(u8, UdpSocket)>,
    used: HashSet<Ipv4Addr>,
    next: usize,
}

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("provided IP is already allocated")]
    Taken,
    #[error("the range is full")]
    Full,
    #[error("failed to listen on port {port}: {error}")]
    Port { port: u16, error: io::Error },
    #[error("provided port is already allocated")]
    NodePortTaken,
}

impl Addresses {
    pub(crate) fn new() -> Self {
        let pool = |second| Mutex::new(Pool { second, blocks: Vec::new(), used: HashSet::new(), next: 0 });
        Addresses { services: pool(SERVICES_SECOND_OCTET), pods: pool(PODS_SECOND_OCTET), node_ports: Mutex::default() }
    }

    /// An address for a Service on which all these ports can be listened on.
    pub(crate) fn service(&self, ports: &[u16]) -> Result<Ipv4Addr, AddressError> {
        let mut pool = lock(&self.services);
        let mut failure = AddressError::Full;
        for _ in 0..SERVICE_TRIES_MAX {
            let address = pool.take().ok_or(AddressError::Full)?;
            match can_listen(address, ports) {
                Ok(()) => return Ok(address),
                Err(error) => failure = error,
            }
            pool.used.remove(&address);
        }
        Err(failure)
    }

    /// The address that a Service asks for.
    pub(crate) fn service_at(&self, address: Ipv4Addr, ports: &[u16]) -> Result<(), AddressError> {
        let mut pool = lock(&self.services);
        if pool.used.contains(&address) || can_listen(address, ports).is_err() {
            return Err(AddressError::Taken);
        }
        pool.used.insert(address);
        Ok(())
    }

    /// Whether Services may live there.
    pub(crate) fn is_service(address: Ipv4Addr) -> bool {
        address.octets()[..2] == [127, SERVICES_SECOND_OCTET]
    }

    pub(crate) fn release_service(&self, address: Ipv4Addr) {
        lock(&self.services).used.remove(&address);
    }

    pub(crate) fn pod(&self) -> Option<Ipv4Addr> {
        lock(&self.pods).take()
    }

    pub(crate) fn release_pod(&self, address: Ipv4Addr) {
        lock(&self.pods).used.remove(&address);
    }

    /// A free node port, or the one asked for.
    pub(crate) fn node_port(&self, asked: Option<u16>) -> Result<u16, AddressError> {
        let mut used = lock(&self.node_ports);
        if let Some(port) = asked {
            let free = !used.contains(&port) && can_listen(Ipv4Addr::LOCALHOST, &[port]).is_ok();
            if !free {
                return Err(AddressError::NodePortTaken);
            }
            used.insert(port);
            return Ok(port);
        }
        for _ in 0..NODE_PORT_TRIES_MAX {
            let port = fastrand::u16(NODE_PORTS);
            if !used.contains(&port) && can_listen(Ipv4Addr::LOCALHOST, &[port]).is_ok() {
                used.insert(port);
                return Ok(port);
            }
        }
        Err(AddressError::Full)
    }

    pub(crate) fn release_node_port(&self, port: u16) {
        lock(&self.node_ports).remove(&port);
    }
}

impl Pool {
    /// The next free address of our blocks; a new block when they are full. Addresses come back late, so that nobody meets
    /// another pod where the old one was.
    fn take(&mut self) -> Option<Ipv4Addr> {
        loop {
            let size = self.blocks.len() * 254;
            for _ in 0..size {
                let at = self.next % size;
                self.next = at + 1;
                let (third, _) = self.blocks[at / 254];
                let address = Ipv4Addr::new(127, self.second, third, u8::try_from(at % 254 + 1).unwrap_or(1));
                if self.used.insert(address) {
                    return Some(address);
                }
            }
            self.next = size;
            self.claim()?;
        }
    }

    fn claim(&mut self) -> Option<()> {
        let start = fastrand::u8(..);
        for offset in 0..=u8::MAX {
            let third = start.wrapping_add(offset);
            let block = IpAddr::from([127, self.second, third, 0]);
            if let Ok(claim) = UdpSocket::bind((block, CLAIM_PORT)) {
                self.blocks.push((third, claim));
                return Some(());
            }
        }
        None
    }
}

/// Whether the ports can be listened on; privileged ones, which we may not open, count as free: such a Service exists, and is
/// reachable only by its pods' own addresses.
fn can_listen(address: Ipv4Addr, ports: &[u16]) -> Result<(), AddressError> {
    for port in ports {
        match TcpListener::bind((address, *port)) {
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (),
            Err(error) => return Err(AddressError::Port { port: *port, error }),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
