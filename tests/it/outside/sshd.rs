//! A git server over ssh: OpenSSH's own, on a port and with keys of the test's, as the user that runs the test.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It starts in a moment; machines are slow.
const START_MAX: Duration = Duration::from_secs(30);

/// A running sshd; it ends with this value.
pub(super) struct SshServer {
    folder: PathBuf,
    repos: PathBuf,
    pub(super) address: SocketAddr,
    sshd: Child,
}

impl SshServer {
    /// Serves the repositories in a folder to the keys that [`SshServer::key`] makes.
    pub(super) fn start(root: &Path) -> Self {
        let folder = root.join("sshd");
        fs::create_dir(&folder).expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let mut server = Self { sshd: idle(), folder, repos: root.to_path_buf(), address };
        for kind in ["ed25519", "ecdsa", "rsa"] {
            server.keygen(kind, &format!("host_{kind}"), "");
        }
        fs::write(server.folder.join("authorized_keys"), "").expect("written");
        for kind in ["ed25519", "ecdsa", "rsa"] {
            server.allow(kind, kind, "");
        }
        server.trust(&["ed25519", "ecdsa", "rsa"]);
        server.run(&["ed25519", "ecdsa", "rsa"]);
        server
    }

    /// The repository's URL.
    pub(super) fn url(&self) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id runs").stdout).expect("a name");
        format!("ssh://{}@{}{}", user.trim(), self.address, self.repos.join("shop.git").display())
    }

    /// A private key that the server takes: `ed25519`, `ecdsa`, `rsa`.
    pub(super) fn key(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The hosts that are trusted.
    pub(super) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// Another key that the server takes.
    pub(super) fn allow(&self, kind: &str, name: &str, passphrase: &str) -> PathBuf {
        self.keygen(kind, name, passphrase);
        let keys = self.folder.join("authorized_keys");
        let public = fs::read_to_string(self.key(name).with_extension("pub")).expect("a public key");
        let text = fs::read_to_string(&keys).expect("readable") + &public;
        fs::write(keys, text).expect("written");
        self.key(name)
    }

    /// Trusts some of its host keys and no others.
    pub(super) fn trust(&self, kinds: &[&str]) {
        let lines = kinds.iter().map(|kind| {
            let public = fs::read_to_string(self.folder.join(format!("host_{kind}.pub"))).expect("a public key");
            format!("[127.0.0.1]:{} {public}", self.address.port())
        });
        fs::write(self.known_hosts(), lines.collect::<String>()).expect("written");
    }

    /// Hashes the names of the trusted hosts, as Debian's ssh does.
    pub(super) fn hash_known_hosts(&self) {
        let status = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(self.known_hosts()).status();
        assert!(status.expect("ssh-keygen runs").success());
    }

    /// New host keys, as if somebody stood in between.
    pub(super) fn with_other_host_keys(&mut self) {
        self.stop();
        fs::rename(self.folder.join("host_ed25519"), self.folder.join("true_ed25519")).expect("renamed");
        self.keygen("ed25519", "host_other", "");
        fs::rename(self.folder.join("host_other"), self.folder.join("host_ed25519")).expect("renamed");
        self.run(&["ed25519"]);
    }

    /// The old ones again.
    pub(super) fn with_true_host_keys(&mut self) {
        self.stop();
        fs::rename(self.folder.join("true_ed25519"), self.folder.join("host_ed25519")).expect("renamed");
        self.run(&["ed25519", "ecdsa", "rsa"]);
    }

    /// Ends the server.
    pub(super) fn stop(&mut self) {
        // It may have ended by itself.
        let _gone = self.sshd.kill();
        let _reaped = self.sshd.wait();
    }

    fn keygen(&self, kind: &str, name: &str, passphrase: &str) {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", kind, "-N", passphrase, "-C", "a test", "-f"]).arg(self.folder.join(name));
        if kind == "rsa" {
            keygen.args(["-b", "2048"]);
        }
        assert!(keygen.status().expect("ssh-keygen runs").success());
    }

    fn run(&mut self, host_keys: &[&str]) {
        let folder = self.folder.display();
        let keys: String = host_keys.iter().map(|kind| format!("HostKey {folder}/host_{kind}\n")).collect();
        let config = format!(
            "ListenAddress {}\n{keys}AuthorizedKeysFile {folder}/authorized_keys\nPidFile {folder}/pid\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nLogLevel VERBOSE\nMaxStartups 100\n",
            self.address
        );
        let path = self.folder.join("sshd_config");
        fs::write(&path, config).expect("written");
        // As root it wants this folder; for others it is not asked for.
        let _there_or_not_root = fs::create_dir("/run/sshd")
            .and_then(|()| fs::set_permissions("/run/sshd", fs::Permissions::from_mode(0o755)));
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let sshd = Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(&path).stderr(log).spawn();
        self.sshd = sshd.unwrap_or_else(|error| panic!("sshd cannot run ({error}); `make test` installs or names it"));
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(start.elapsed() < START_MAX, "sshd did not start\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process that has ended, in place of one that is not there yet.
fn idle() -> Child {
    Command::new("true").stdin(Stdio::null()).spawn().expect("true runs")
}
