//! Several turquoises on one repository and cluster, of which one acts; each with a way to the API server of its own, which
//! notes what it writes and can be cut.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Stage, turquoise};
use super::world::World;

/// A look that must not miss what lasts some milliseconds.
const SHORT_LOOK: Duration = Duration::from_millis(2);

/// The world, and the replicas in it.
pub(super) struct Replicas {
    pub(super) stage: Stage,
    replicas: Vec<Replica>,
}

struct Replica {
    name: String,
    child: Option<Child>,
    listen: Option<SocketAddr>,
    wire: Wire,
    starts: usize,
}

impl Replicas {
    /// Starts replicas, waits until one of them leads, and has the story watched at the first.
    pub(super) fn open(stage: Stage, names: &[&str]) -> Self {
        let kubeconfig = fs::read_to_string(stage.folder().join("kubeconfig")).expect("a kubeconfig");
        let server = kubeconfig.split_once("server: http://").expect("a server").1;
        let server: SocketAddr = server.lines().next().and_then(|line| line.trim().parse().ok()).expect("an address");
        let mut world = Self { stage, replicas: Vec::new() };
        for name in names {
            let wire = Wire::start(server);
            let own = kubeconfig.replace(&server.to_string(), &wire.address.to_string());
            fs::write(world.stage.folder().join(format!("kubeconfig-{name}")), own).expect("written");
            world.replicas.push(Replica { name: (*name).to_owned(), child: None, listen: None, wire, starts: 0 });
        }
        (0..names.len()).for_each(|replica| world.start(replica));
        world.until_led();
        world.watch(0);
        world
    }

    /// Starts one, perhaps again.
    pub(super) fn start(&mut self, replica: usize) {
        let log = self.log_path(replica);
        let one = &mut self.replicas[replica];
        assert!(one.child.is_none(), "{} runs already", one.name);
        one.starts += 1;
        // A copy of a server's repository of its own, as in a pod of its own.
        let arguments = self.stage.server.arguments().into_iter();
        let arguments = arguments.map(|word| if word == "cache" { format!("cache-{}", one.name) } else { word });
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let child = turquoise()
            .current_dir(self.stage.folder())
            .args(["run", "--leader-elect", "--listen", "127.0.0.1:0", "--lease-identity", &one.name])
            .args(["--kubeconfig", &format!("kubeconfig-{}", one.name)])
            .args(arguments)
            .env("TURQUOISE_ALLOW_HOST", "127.0.0.1")
            .env("TURQUOISE_LOG", "turquoise=debug,info")
            .stderr(file)
            .spawn();
        one.child = Some(child.expect("turquoise starts"));
        let (starts, start) = (one.starts, Instant::now());
        let address = loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let addresses = text.lines().filter_map(|line| line.split_once("listening on http://"));
            let addresses: Vec<SocketAddr> = addresses.filter_map(|(_, at)| at.trim().parse().ok()).collect();
            if addresses.len() == starts {
                break addresses.last().copied();
            }
            assert!(start.elapsed() < World::here().limits().step, "turquoise did not start\n{text}");
            std::thread::sleep(SHORT_LOOK);
        };
        self.replicas[replica].listen = address;
    }

    /// From now on the story is watched at this one.
    pub(super) fn watch(&mut self, replica: usize) {
        self.stage.watched_at(self.replicas[replica].listen.expect("it runs"));
    }

    fn log_path(&self, replica: usize) -> PathBuf {
        self.stage.folder().join(format!("{}.log", self.replicas[replica].name))
    }

    /// What one of them logged.
    pub(super) fn log(&self, replica: usize) -> String {
        fs::read_to_string(self.log_path(replica)).unwrap_or_default()
    }

    fn logs(&self) -> String {
        let logs = (0..self.replicas.len()).map(|one| format!("---- {}\n{}", self.replicas[one].name, self.log(one)));
        logs.collect::<Vec<_>>().join("\n")
    }

    fn pid(&self, replica: usize) -> u32 {
        self.replicas[replica].child.as_ref().expect("it runs").id()
    }

    /// Sends a signal.
    pub(super) fn signal(&self, replica: usize, signal: &str) {
        let pid = self.pid(replica).to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, replica: usize) {
        let one = &mut self.replicas[replica];
        let mut child = one.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("ended");
        one.listen = None;
        self.stage.another_was_cut_off();
    }

    /// Waits until one that was told to has ended; gives its exit code.
    pub(super) fn ended(&mut self, replica: usize) -> Option<i32> {
        self.stage.another_was_cut_off();
        let one = &mut self.replicas[replica];
        one.listen = None;
        one.child.take().expect("it runs").wait().expect("ended").code()
    }

    /// Waits until one is gone that somebody else killed.
    pub(super) fn killed(&mut self, replica: usize) {
        assert_eq!(self.ended(replica), None, "it was killed by a signal");
    }

    /// The answer's body; empty while it does not answer.
    pub(super) fn get(&self, replica: usize, path: &str) -> String {
        let ask = || -> std::io::Result<String> {
            let address = self.replicas[replica].listen.ok_or(std::io::ErrorKind::NotConnected)?;
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_millis(500)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        ask().unwrap_or_default().split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// What it says of itself and of who leads.
    pub(super) fn replica(&self, replica: usize) -> Value {
        let apps: Value = serde_json::from_str(&self.get(replica, "/api/v1/apps")).unwrap_or(Value::Null);
        apps["replica"].clone()
    }

    pub(super) fn leads(&self, replica: usize) -> bool {
        self.replica(replica)["leading"] == true
    }

    /// Waits until one leads; gives it.
    pub(super) fn until_led(&self) -> usize {
        let mut leader = None;
        self.until("a leader", || {
            leader = (0..self.replicas.len()).find(|one| self.leads(*one));
            leader.is_some()
        });
        leader.unwrap_or_default()
    }

    /// Waits until it is so.
    pub(super) fn until(&self, what: &str, mut so: impl FnMut() -> bool) -> Duration {
        let start = Instant::now();
        while !so() {
            assert!(start.elapsed() < World::here().limits().step, "{what} did not happen\n{}", self.logs());
            std::thread::sleep(World::here().limits().look);
        }
        start.elapsed()
    }

    /// The way to the API server of one of them.
    pub(super) fn wire(&self, replica: usize) -> &Wire {
        &self.replicas[replica].wire
    }

    /// At the moment at which turquoise's next commit is on the branch, the server's hook sends the leader a signal: between
    /// push and patch. For repositories on a server.
    pub(super) fn at_the_next_push(&self, replica: usize, signal: &str) {
        let folder = self.stage.folder();
        let hook = folder.join("shop.git/hooks/post-receive");
        let done = folder.join("pushed");
        let script = format!(
            "#!/bin/sh\ncase \"$(git log -1 --format=%an main)\" in turquoise) ;; *) exit 0 ;; esac\n\
             [ -e '{done}' ] || {{ touch '{done}'; kill {signal} {pid}; }}\n",
            done = done.display(),
            pid = self.pid(replica),
        );
        fs::write(&hook, script).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&hook, executable).expect("executable");
    }

    /// Waits until the hook has struck, and takes it away.
    pub(super) fn struck(&self) {
        let folder = self.stage.folder();
        self.until("the push", || folder.join("pushed").exists());
        fs::remove_file(folder.join("shop.git/hooks/post-receive")).expect("removed");
        fs::remove_file(folder.join("pushed")).expect("removed");
    }

    /// The end of each scenario.
    pub(super) fn end(mut self) {
        let leader = self.until_led();
        self.watch(leader);
        let mut replicas = std::mem::take(&mut self.replicas);
        // The stage looks at the leader until git and cluster agree.
        let stage = self.stage;
        stage.ends();
        replicas.iter_mut().for_each(Replica::end);
    }
}

impl Replica {
    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that ended by itself cannot be killed any more.
            let _ended_already = child.kill();
            let _reaped_already = child.wait();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}

/// A request that changes something in the cluster.
struct Written {
    at: Instant,
    what: String,
}

/// A way to the API server: passes requests on and notes those that write, or holds everything back.
pub(super) struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    cut: AtomicBool,
    written: Mutex<Vec<Written>>,
}

impl Wire {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let kept = Arc::clone(&shared);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (Ok(back), Ok(to)) = (server.try_clone(), client.try_clone()) else { continue };
                let (there, here) = (Arc::clone(&kept), Arc::clone(&kept));
                std::thread::spawn(move || there.requests(client, server));
                std::thread::spawn(move || here.answers(back, to));
            }
        });
        Self { address, shared }
    }

    /// From now on nothing passes, or everything that was held back and what comes.
    pub(super) fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::SeqCst);
    }

    /// What was written over this way since a moment, the Lease aside.
    pub(super) fn written_since(&self, since: Instant) -> Vec<String> {
        let written = self.shared.written.lock().expect("unpoisoned");
        written.iter().filter(|one| one.at >= since).map(|one| one.what.clone()).collect()
    }
}

impl Shared {
    fn wait(&self) {
        while self.cut.load(Ordering::SeqCst) {
            std::thread::sleep(SHORT_LOOK);
        }
    }

    /// Requests, one after another: a head, and a body of the length that it names.
    fn requests(&self, client: TcpStream, mut server: TcpStream) -> Option<()> {
        let mut client = BufReader::new(client);
        loop {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let from = head.len();
                if client.read_line(&mut head).ok()? == 0 {
                    return server.shutdown(std::net::Shutdown::Write).ok();
                }
                let line = head[from..].trim().to_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            client.read_exact(&mut body).ok()?;
            self.wait();
            let what = head.lines().next().unwrap_or_default().to_owned();
            let writes = !what.starts_with("GET ") && !what.contains("dryRun=All") && !what.contains("/leases");
            if writes {
                self.written.lock().expect("unpoisoned").push(Written { at: Instant::now(), what });
            }
            server.write_all(head.as_bytes()).ok()?;
            server.write_all(&body).ok()?;
        }
    }

    fn answers(&self, mut server: TcpStream, mut client: TcpStream) -> Option<()> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = server.read(&mut bytes).ok()?;
            if count == 0 {
                return client.shutdown(std::net::Shutdown::Both).ok();
            }
            self.wait();
            client.write_all(&bytes[..count]).ok()?;
        }
    }
}
