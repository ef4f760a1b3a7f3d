//! From outside: a real turquoise process, a real bare repository and the `git` binary, kubectl for the human hand, the
//! embedded cluster in a process of its own, and traffic all the time.

mod adoption;
mod apps;
mod checks;
mod files;
mod history;
mod https;
mod kills;
mod many;
mod messages;
mod people;
mod receiver;
mod releases;
mod remote;
mod sshd;
mod stage;
mod traffic;
mod transport;
mod workloads;
