//! A receiver of messages, with whatever receivers do to those who write to them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// Keeps everything that it is sent.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    manner: Manner,
    arrived: Vec<Arrived>,
    /// A message was read and will never be answered.
    left_waiting: bool,
}

/// How it answers.
#[derive(Debug, Default, Clone)]
pub(super) enum Manner {
    /// At once and well.
    #[default]
    Well,
    /// These status lines with their headers, one a request, and then well.
    First(Vec<String>),
    /// Not at all, the first time that it sees an id; well, when it is sent again.
    MuteAtFirst,
    /// Reads and never answers.
    Mute,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    pub(super) answered: bool,
}

impl Arrived {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Receiver {
    pub(super) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { manner, ..State::default() }));
        let kept = Arc::clone(&state);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&kept);
                std::thread::spawn(move || receive(stream, &state));
            }
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn becomes(&self, manner: Manner) {
        self.state().manner = manner;
    }

    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.state().arrived.clone()
    }

    /// Whether somebody waits for an answer in vain; forgets it.
    pub(super) fn left_somebody_waiting(&self) -> bool {
        std::mem::take(&mut self.state().left_waiting)
    }

    /// As a receiver that drops what it has seen: each id once, in the order of its first arrival.
    pub(super) fn heard(&self) -> Vec<Value> {
        let mut heard: Vec<Value> = Vec::new();
        for arrived in self.arrived() {
            let envelope = arrived.json();
            if !heard.iter().any(|known| known["id"] == envelope["id"]) {
                heard.push(envelope);
            }
        }
        heard
    }

    /// `kind revision` of what it heard.
    pub(super) fn stories(&self) -> Vec<String> {
        self.heard().iter().map(story).collect()
    }
}

pub(super) fn story(envelope: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!("{} {}", text(&envelope["data"]["kind"]), text(&envelope["data"]["revision"]))
}

fn receive(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    // Connections are kept alive.
    loop {
        let (mut headers, mut line) = (BTreeMap::new(), String::new());
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        line.clear();
        while reader.read_line(&mut line).ok()? > 2 {
            let (name, value) = line.split_once(':')?;
            headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
            line.clear();
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let arrived = Arrived { headers, body: String::from_utf8(body).ok()?, answered: true };
        let answer = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = answer(&mut state, &arrived);
            state.left_waiting |= answer.is_none();
            state.arrived.push(Arrived { answered: answer.is_some(), ..arrived });
            answer
        };
        let Some(answer) = answer else {
            // Held open until the other side goes.
            stream.set_read_timeout(Some(Duration::from_secs(120))).ok()?;
            let _gone = reader.read(&mut [0]);
            return None;
        };
        write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

fn answer(state: &mut State, arrived: &Arrived) -> Option<String> {
    let well = || Some("204 No Content".to_owned());
    let id = |arrived: &Arrived| arrived.json()["id"].clone();
    match &mut state.manner {
        Manner::Well => well(),
        Manner::First(answers) if answers.is_empty() => well(),
        Manner::First(answers) => Some(answers.remove(0)),
        Manner::MuteAtFirst => state.arrived.iter().any(|known| id(known) == id(arrived)).then(well).flatten(),
        Manner::Mute => None,
    }
}
