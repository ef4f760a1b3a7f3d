//! How turquoise reaches the repository in a story: over https or over ssh. Where nothing is said, it is a folder.

use std::fs;
use std::path::Path;

use super::https::{HttpsServer, TOKEN};
use super::sshd::SshServer;
use super::stage::Stage;

/// The ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Https,
    Ssh,
}

/// A server that is up.
pub(super) enum Server {
    Folder,
    Https(HttpsServer),
    Ssh(SshServer),
}

impl Server {
    /// Serves the repositories in a folder.
    pub(super) fn start(transport: Transport, root: &Path) -> Self {
        match transport {
            Transport::Https => {
                fs::write(root.join("token"), format!("{TOKEN}\n")).expect("written");
                Self::Https(HttpsServer::start(root))
            }
            Transport::Ssh => Self::Ssh(SshServer::start(root)),
        }
    }

    /// What turquoise is told of the repository. Servers are polled often: nobody calls the push hook.
    pub(super) fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let (url, with): (String, Vec<(&str, String)>) = match self {
            Self::Folder => ("shop.git".into(), Vec::new()),
            Self::Https(server) => {
                (server.url(), vec![("--git-token-file", "token".into()), ("--git-ca", text(&server.ca))])
            }
            Self::Ssh(server) => {
                let key = ("--git-ssh-key", text(&server.key("ed25519")));
                (server.url(), vec![key, ("--git-known-hosts", text(&server.known_hosts()))])
            }
        };
        let mut all = vec!["--repo".to_owned(), url];
        all.extend(with.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        if !matches!(self, Self::Folder) {
            all.extend(["--cache", "cache", "--poll", "500ms", "--git-timeout", "3s"].map(str::to_owned));
        }
        all
    }

    pub(super) fn https(&self) -> &HttpsServer {
        match self {
            Self::Https(server) => server,
            Self::Folder | Self::Ssh(_) => panic!("the story is told over https"),
        }
    }

    pub(super) fn ssh(&mut self) -> &mut SshServer {
        match self {
            Self::Ssh(server) => server,
            Self::Folder | Self::Https(_) => panic!("the story is told over ssh"),
        }
    }
}

impl Stage {
    /// The same, with turquoise reaching the repository over a transport.
    pub(super) fn open_over(transport: Transport) -> Self {
        Self::bare(|_| {}).over(transport).opened()
    }

    /// The repository is reached over a transport from here on.
    pub(super) fn over(mut self, transport: Transport) -> Self {
        self.server = Server::start(transport, self.folder.path());
        self
    }

    /// Everything of this world lies in here.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process of turquoise.
    pub(super) fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("turquoise runs").id()
    }
}
