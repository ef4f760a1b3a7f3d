//! A git server over https: `git http-backend` behind a small server of the tests' own, with a certificate of a CA made
//! for the test, a token, and the ways in which servers misbehave.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The token that the server takes.
pub(super) const TOKEN: &str = "s3cr3t-token-of-the-tests";

/// What the server does instead of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing: it answers.
    None,
    /// It takes connections and closes them.
    Refuses,
    /// It takes the request and says nothing.
    Hangs,
    /// It sends a byte now and then.
    Drips,
    /// It answers with a status.
    Status(u16),
    /// It sends people elsewhere.
    Redirects(String),
    /// It answers with something that is no git.
    Babbles,
    /// It names a pack's size and sends less.
    Lies,
    /// It does what it is asked, and cuts the connection before it says so. Once.
    LosesThePushReply,
}

/// A running server; it ends with this value.
pub(super) struct HttpsServer {
    pub(super) address: SocketAddr,
    /// The CA's certificate.
    pub(super) ca: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    fault: Mutex<Fault>,
    tls: Mutex<Arc<ServerConfig>>,
    /// Method and path with its query, one a request.
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl HttpsServer {
    /// Serves the repositories in a folder.
    pub(super) fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tls, pem) = certificate();
        let ca = root.join("ca.pem");
        fs::write(&ca, pem).expect("written");
        let shared = Arc::new(Shared {
            root: root.to_path_buf(),
            fault: Mutex::new(Fault::None),
            tls: Mutex::new(tls),
            requests: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.ended.load(Ordering::SeqCst) {
                    break;
                }
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.connection(stream));
            }
        });
        Self { address, ca, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}/shop.git", self.address)
    }

    /// From now on.
    pub(super) fn fault(&self, fault: Fault) {
        *self.shared.fault.lock().expect("unpoisoned") = fault;
    }

    pub(super) fn fault_is(&self, fault: &Fault) -> bool {
        *self.shared.fault.lock().expect("unpoisoned") == *fault
    }

    /// Another certificate, of a CA that nobody was told of.
    pub(super) fn with_another_certificate(&self) {
        *self.shared.tls.lock().expect("unpoisoned") = certificate().0;
    }

    /// The certificate from before is put back, or one of the same CA: what `restore` was made from.
    pub(super) fn certificate(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.tls.lock().expect("unpoisoned"))
    }

    pub(super) fn set_certificate(&self, tls: Arc<ServerConfig>) {
        *self.shared.tls.lock().expect("unpoisoned") = tls;
    }

    /// The requests since the last time that this was asked.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.requests.lock().expect("unpoisoned"))
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which looks at the flag; it may be gone already.
        let _gone = TcpStream::connect(self.address);
    }
}

/// A CA, and a certificate of its for this machine.
fn certificate() -> (Arc<ServerConfig>, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    // Were the two named alike, the certificate would look like one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "the CA of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let leaf = CertificateParams::new(names).expect("parameters").signed_by(&key, &issuer).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a configuration");
    (Arc::new(config), pem)
}

struct Asked {
    method: String,
    path: String,
    query: String,
    kind: String,
    encoding: String,
    authorised: bool,
    body: Vec<u8>,
}

impl Shared {
    fn fault_now(&self) -> Fault {
        self.fault.lock().expect("unpoisoned").clone()
    }

    /// Answers until the other side has had enough. Its going away in the middle is its right.
    fn connection(&self, stream: TcpStream) {
        if self.fault_now() == Fault::Refuses {
            return;
        }
        let tls = Arc::clone(&self.tls.lock().expect("unpoisoned"));
        let connection = ServerConnection::new(tls).expect("a connection");
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        while let Ok(Some(asked)) = read_request(&mut stream) {
            let line = format!("{} {}?{}", asked.method, asked.path, asked.query);
            self.requests.lock().expect("unpoisoned").push(line);
            if self.answer(stream.get_mut(), &asked).is_err() {
                return;
            }
        }
    }

    fn answer(&self, out: &mut impl Write, asked: &Asked) -> std::io::Result<()> {
        let cut = || Err(std::io::ErrorKind::ConnectionAborted.into());
        match self.fault_now() {
            Fault::Hangs => {
                while self.fault_now() == Fault::Hangs && !self.ended.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return cut();
            }
            Fault::Drips => {
                for byte in b"HTTP/1.1 200 OK\r\nX-Drip: ".iter().chain([b'x'; 1_000_000].iter()) {
                    out.write_all(&[*byte])?;
                    out.flush()?;
                    if self.fault_now() != Fault::Drips || self.ended.load(Ordering::SeqCst) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                return cut();
            }
            Fault::Status(status) => return reply(out, status, &[], b"so sorry"),
            Fault::Redirects(to) => return reply(out, 302, &[("Location", &to)], b""),
            Fault::Babbles => {
                let kind = format!("application/x-{}-advertisement", asked.query.trim_start_matches("service="));
                return reply(out, 200, &[("Content-Type", &kind)], b"zzzzwhat is a pkt-line");
            }
            Fault::Lies => {
                write!(out, "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n")?;
                write!(out, "Content-Length: 1000000\r\n\r\n001e# service=git-upload-pack\n0000fff0")?;
                out.flush()?;
                return cut();
            }
            Fault::None | Fault::Refuses | Fault::LosesThePushReply => {}
        }
        if !asked.authorised {
            return reply(out, 401, &[("WWW-Authenticate", "Basic realm=\"git\"")], b"who are you");
        }
        let (status, kind, body) = self.backend(asked)?;
        if asked.method == "POST" && asked.path.ends_with("git-receive-pack") {
            let mut fault = self.fault.lock().expect("unpoisoned");
            if *fault == Fault::LosesThePushReply {
                *fault = Fault::None;
                return cut();
            }
        }
        reply(out, status, &[("Content-Type", &kind)], &body)
    }

    /// The real thing, as a CGI program.
    fn backend(&self, asked: &Asked) -> std::io::Result<(u16, String, Vec<u8>)> {
        let mut backend = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.root.join("home"))
            .env("REMOTE_USER", "turquoise")
            .env("REQUEST_METHOD", &asked.method)
            .env("PATH_INFO", &asked.path)
            .env("QUERY_STRING", &asked.query)
            .env("CONTENT_TYPE", &asked.kind)
            .env("HTTP_CONTENT_ENCODING", &asked.encoding)
            .env("CONTENT_LENGTH", asked.body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = backend.stdin.take().expect("a pipe");
        let body = asked.body.clone();
        // It may answer before it has read all.
        let writer = std::thread::spawn(move || stdin.write_all(&body));
        let output = backend.wait_with_output()?.stdout;
        let _read_no_more = writer.join();
        let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len());
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        let status = field("Status: ").split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(200);
        Ok((status, field("Content-Type: "), output.get(end + 4..).unwrap_or_default().to_vec()))
    }
}

fn reply(out: &mut impl Write, status: u16, fields: &[(&str, &str)], body: &[u8]) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())?;
    out.write_all(body)?;
    out.flush()
}

fn read_request(stream: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        kind: String::new(),
        encoding: String::new(),
        authorised: false,
        body: Vec::new(),
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => chunked = value == "chunked",
            "content-type" => asked.kind = value.to_owned(),
            "content-encoding" => asked.encoding = value.to_owned(),
            "authorization" => asked.authorised = value == basic(),
            _others => {}
        }
    }
    if chunked {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            asked.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else {
        asked.body.resize(length, 0);
        stream.read_exact(&mut asked.body)?;
    }
    Ok(Some(asked))
}

/// What turquoise sends for the token, with the user's name that goes with tokens.
fn basic() -> String {
    use base64::Engine;
    let pair = format!("x-access-token:{TOKEN}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
