//! What reaches turquoise from outside, and what it is told by its environment.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use super::{Stage, turquoise};

impl Stage {
    /// Starts turquoise.
    pub(in crate::outside) fn run(&mut self) {
        self.run_with(&[]);
    }

    /// From now on the story is watched at another turquoise, which somebody else started.
    pub(in crate::outside) fn watched_at(&mut self, address: SocketAddr) {
        self.listen = Some(address);
    }

    /// Ends the traffic well and begins it anew: connections that clients keep to the idle colour end when it is used for
    /// the next release.
    pub(in crate::outside) fn with_new_traffic(&mut self) {
        self.without_traffic();
        self.with_traffic();
    }

    /// Where turquoise listens.
    pub(in crate::outside) fn address(&self) -> SocketAddr {
        self.listen.expect("turquoise runs")
    }

    /// The bare repository.
    pub(in crate::outside) fn bare_path(&self) -> PathBuf {
        self.folder.path().join("shop.git")
    }

    /// A variable for turquoise, from its next start on.
    pub(in crate::outside) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// A file beside the repository, that turquoise may be pointed at.
    pub(in crate::outside) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// Runs another turquoise on the same world, until it ends by itself.
    pub(in crate::outside) fn run_to_its_end(&self, more: &[&str]) -> std::process::Output {
        let mut command = turquoise();
        command.current_dir(self.folder.path()).args(["run", "--repo", "shop.git", "--kubeconfig", "kubeconfig"]);
        command.args(more).output().expect("it runs")
    }

    /// The address of turquoise's server.
    pub(in crate::outside) fn server(&self) -> String {
        format!("http://{}", self.listen.expect("turquoise listens"))
    }

    /// What a path of turquoise's server answers, head and body.
    pub(in crate::outside) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.listen.expect("turquoise listens")).expect("connected");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        text
    }
}
