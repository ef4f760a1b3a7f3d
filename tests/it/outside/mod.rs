//! From outside: a real turquoise process, a real bare repository and the `git` binary, kubectl for the human hand, and
//! traffic all the time; in the embedded cluster, a process of its own, or in a real one (`world`).

mod adoption;
mod apps;
mod checks;
mod commands;
mod faults;
mod files;
mod history;
mod https;
mod install;
mod kills;
mod leaders;
mod machine;
mod many;
mod messages;
mod outages;
mod people;
mod policies;
mod receiver;
mod releases;
mod remote;
mod replicas;
mod server;
mod soak;
mod sshd;
mod stage;
mod tap;
mod traffic;
mod transport;
mod workloads;
mod world;
