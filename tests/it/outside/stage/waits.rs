//! What turquoise's status says, and waiting for it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Stage;
use crate::outside::world::World;

impl Stage {
    /// The app's status; null while nobody answers.
    pub(in crate::outside) fn status(&self) -> Value {
        self.status_of("shop")
    }

    /// One app's status; null while nobody answers.
    pub(in crate::outside) fn status_of(&self, app: &str) -> Value {
        let ask = || -> std::io::Result<String> {
            let address = self.listen.ok_or(std::io::ErrorKind::NotConnected)?;
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            write!(stream, "GET /api/v1/apps/{app} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = ask().unwrap_or_default();
        text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()).unwrap_or(Value::Null)
    }

    /// Waits until the status is as wished.
    pub(in crate::outside) fn until(&self, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        self.until_app("shop", what, wished)
    }

    /// Waits until one app's status is as wished.
    pub(in crate::outside) fn until_app(&self, app: &str, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let (start, limits) = (Instant::now(), World::here().limits());
        loop {
            let status = self.status_of(app);
            if wished(&status) {
                return status;
            }
            if start.elapsed() > limits.step {
                panic!(
                    "{what} did not happen; status {status:#}\nlog {}\n{}\n{}",
                    self.git_log("%h %an %s").join("\n"),
                    self.log(),
                    self.kubectl(&["get", "pods,services,endpointslices,events", "-o", "wide"]),
                );
            }
            std::thread::sleep(limits.look);
        }
    }

    /// Waits until a version is live in a colour and nothing but the watch goes on.
    pub(in crate::outside) fn until_live(&self, colour: &str, version: &str) -> Value {
        let image = format!("shop:{version}");
        self.until(&format!("{version} live in {colour}"), |app| {
            let images = app["colours"][colour]["images"].as_array();
            app["serving"] == colour
                && app["declared"] == colour
                && images.is_some_and(|images| images.iter().any(|one| *one == image))
                && self.is_at_rest(app)
        })
    }

    /// Waits until a revision was rejected, and nothing goes on.
    pub(in crate::outside) fn until_verdict(&self, revision: &str, verdict: &str) -> Value {
        self.until(&format!("{revision} {verdict}"), |app| {
            app["verdict"]["revision"] == revision && app["verdict"]["verdict"] == verdict && self.is_at_rest(app)
        })
    }

    /// Whether the status is about the branch's head and asks for nothing more.
    pub(in crate::outside) fn is_at_rest(&self, app: &Value) -> bool {
        let waits =
            |reason: &str| app["waiting"].as_array().is_some_and(|all| all.iter().any(|one| one["reason"] == reason));
        let head = self.git_log("%H").into_iter().next().unwrap_or_default();
        app["head"] == head.as_str()
            && ["settled", "watching", "blocked"].iter().any(|phase| app["phase"] == *phase)
            && !waits("endpoints")
            && app["error"].is_null()
    }

    /// Ends the traffic: what follows breaks the live Service by hand.
    pub(in crate::outside) fn without_traffic(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            let seen = traffic.end(self.allowed);
            let (flips, switches) = (seen["flips"].as_array().map_or(0, Vec::len), self.switches());
            assert!(flips <= switches, "versions went to and fro: {switches} switches, and {:#}", seen["flips"]);
            self.record.saw(seen);
        }
    }

    /// How often traffic may have seen another version: each time that a turquoise switched and logged so, each time that one
    /// was killed or frozen before it could, and each time that a hand did.
    fn switches(&self) -> usize {
        let files = fs::read_dir(self.folder()).expect("a folder").flatten().map(|entry| entry.path());
        let logs = files.filter(|file| file.extension().is_some_and(|kind| kind == "log"));
        let logged =
            |file: PathBuf| fs::read_to_string(file).unwrap_or_default().matches("switched traffic to").count();
        logs.map(logged).sum::<usize>() + self.kills + self.hands.get()
    }

    /// A turquoise beside the stage's own was cut off: it may have switched and not said so.
    pub(in crate::outside) fn another_was_cut_off(&mut self) {
        self.kills += 1;
    }

    /// The end of each scenario: git and cluster agree, and turquoise commits nothing more.
    pub(in crate::outside) fn ends(mut self) {
        self.until("rest", |app| self.is_at_rest(app) && app["declared"] == app["serving"]);
        let before = self.git_log("%H");
        let selector = self.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]);
        assert_eq!(self.status()["declared"], selector.as_str(), "git and cluster disagree");
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(self.git_log("%H"), before, "and plans nothing more\n{}", self.log());
        self.without_traffic();
    }
}
