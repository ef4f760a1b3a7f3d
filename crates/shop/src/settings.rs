//! What an instance of the shop is told at its start.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long an instance goes on answering after it was told to stop, so that nobody is sent to a closed door while the
/// news of its end still travels. Endpoints are updated well within a second, in the sandbox and in a real cluster.
pub(crate) const DRAIN_DEFAULT: Duration = Duration::from_secs(1);

/// The grace period Kubernetes gives by default.
const GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// The port the shop listens on unless `PORT` says otherwise; above 1024, so that no privilege is needed.
pub(crate) const PORT_DEFAULT: u16 = 8080;

/// Where an instance's log lines go.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Which half of the shop an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Answers the customers and asks the backend.
    Frontend,
    /// Answers the frontend.
    Backend,
}

impl Tier {
    /// The word for this tier on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Frontend => "frontend",
            Tier::Backend => "backend",
        }
    }
}

/// A way in which a version of the shop is broken, named by its image tag's suffix or by `SHOP_FAULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// `/readyz` never passes.
    NeverReady,
    /// `/smoke` never passes; everything else does.
    SmokeFails,
    /// Exits with code 1 right after its start, before it is ready.
    Crash,
    /// Exits with code 1 a second after it became ready.
    CrashAfterStart,
    /// Is ready only three seconds after its start.
    SlowStart,
    /// The frontend names a backend of another version in its answers and in `/smoke`; it is ready all the same.
    WrongBackend,
    /// `/smoke` passes until the first `GET /` was served and fails ever after, while `/` itself stays healthy: what only
    /// shows under real traffic.
    BreaksLive,
}

impl Fault {
    /// Every fault, in the order of the documentation.
    pub const ALL: [Fault; 7] = [
        Fault::NeverReady,
        Fault::SmokeFails,
        Fault::Crash,
        Fault::CrashAfterStart,
        Fault::SlowStart,
        Fault::WrongBackend,
        Fault::BreaksLive,
    ];

    /// The fault's name, as in an image tag `2.0.0-never-ready`.
    pub fn name(self) -> &'static str {
        match self {
            Fault::NeverReady => "never-ready",
            Fault::SmokeFails => "smoke-fails",
            Fault::Crash => "crash",
            Fault::CrashAfterStart => "crash-after-start",
            Fault::SlowStart => "slow-start",
            Fault::WrongBackend => "wrong-backend",
            Fault::BreaksLive => "breaks-live",
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name).ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

/// A fault of this name does not exist.
#[derive(Debug)]
pub struct UnknownFault(String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        write!(f, "no fault is named `{}`; there are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

/// All that an instance is told at its start.
#[derive(Clone)]
pub struct Settings {
    /// Which half of the shop this is.
    pub tier: Tier,
    /// The version it answers with; both tiers must carry the same.
    pub version: String,
    /// How it is broken, if it is.
    pub fault: Option<Fault>,
    /// The words that `GET /` of the frontend greets with.
    pub greeting: String,
    /// The name it gives itself in its answers: the pod's.
    pub pod: String,
    /// The frontend's backend, host and port.
    pub backend: Option<(String, u16)>,
    /// How long it goes on answering new requests after it was told to stop.
    pub drain: Duration,
    /// How long requests in flight are waited for after it was told to stop, `drain` included.
    pub grace: Duration,
    /// Where log lines go.
    pub log: Log,
}

impl Settings {
    /// Settings of a healthy instance with the default periods, without a backend, logging nowhere.
    pub fn new(tier: Tier, version: impl Into<String>) -> Self {
        Settings {
            tier,
            version: version.into(),
            fault: None,
            greeting: "Welcome".to_owned(),
            pod: "shop".to_owned(),
            backend: None,
            drain: DRAIN_DEFAULT,
            grace: GRACE_DEFAULT,
            log: Arc::new(|_| ()),
        }
    }

    /// Reads settings as a container gets them: the tier as the first argument, the rest from the environment.
    /// Answers with the port to listen on, too.
    pub fn read(args: &[String], var: impl Fn(&str) -> Option<String>) -> Result<(Self, u16), SettingsError> {
        let tier = match args.first().map(String::as_str) {
            Some("frontend") => Tier::Frontend,
            Some("backend") => Tier::Backend,
            other => return Err(SettingsError::Tier(other.unwrap_or("nothing").to_owned())),
        };
        let mut settings = Settings::new(tier, var("SHOP_VERSION").unwrap_or_else(|| "0.0.0".to_owned()));
        if let Some(name) = var("SHOP_FAULT").filter(|name| !name.is_empty()) {
            settings.fault = Some(name.parse().map_err(SettingsError::Fault)?);
        }
        if let Some(greeting) = var("GREETING") {
            settings.greeting = greeting;
        }
        if let Some(pod) = var("POD_NAME").or_else(|| var("HOSTNAME")) {
            settings.pod = pod;
        }
        if let Some(host) = var("BACKEND_HOST") {
            settings.backend = Some((host, port(&var, "BACKEND_PORT")?));
        } else if tier == Tier::Frontend {
            return Err(SettingsError::NoBackend);
        }
        let port = port(&var, "PORT")?;
        Ok((settings, port))
    }
}

/// Settings that the shop can't start with.
#[derive(Debug)]
pub enum SettingsError {
    /// The first argument is neither `frontend` nor `backend`.
    Tier(String),
    /// `SHOP_FAULT` names no fault.
    Fault(UnknownFault),
    /// A frontend without `BACKEND_HOST`.
    NoBackend,
    /// The variable of this name holds no port.
    Port(&'static str, String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::Tier(given) => write!(f, "the first argument is `frontend` or `backend`, not `{given}`"),
            SettingsError::Fault(fault) => write!(f, "SHOP_FAULT: {fault}"),
            SettingsError::NoBackend => write!(f, "a frontend needs BACKEND_HOST"),
            SettingsError::Port(name, value) => write!(f, "{name} is no port: `{value}`"),
        }
    }
}

impl std::error::Error for SettingsError {}

fn port(var: &impl Fn(&str) -> Option<String>, name: &'static str) -> Result<u16, SettingsError> {
    match var(name) {
        None => Ok(PORT_DEFAULT),
        Some(value) => value.parse().map_err(|_| SettingsError::Port(name, value)),
    }
}
