//! The images that the sandbox's pods can run: the shop by version, broken ones by name, and what the user adds.

use std::collections::HashMap;

use turquoise_shop::{Fault, UnknownFault};

/// The repository of the example app, under any registry.
const SHOP: &str = "shop";

/// The shop's versions.
const SHOP_TAGS: [&str; 6] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0"];

/// What an image does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It works.
    Healthy,
    /// It is broken in this way.
    Broken(Fault),
}

impl std::str::FromStr for Behaviour {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        match name {
            "healthy" => Ok(Behaviour::Healthy),
            fault => fault.parse().map(Behaviour::Broken),
        }
    }
}

/// The images there are.
///
/// `shop` has the tags 1.0.0, 1.1.0, 1.2.0, 2.0.0, 2.1.0 and 3.0.0, and `X.Y.Z-FAULT` for every version and every fault
/// that [`Fault`] names. Everything else that was not added can't be pulled.
#[derive(Clone, Debug, Default)]
pub struct Images {
    added: HashMap<String, Behaviour>,
}

/// An `--image` argument that names no image or no behaviour.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no tag.
    #[error("`{0}` is no image: expected NAME:TAG or NAME:TAG=BEHAVIOUR")]
    NoTag(String),
    /// The behaviour is unknown.
    #[error("`{0}`: {1}, or `healthy`")]
    Behaviour(String, UnknownFault),
}

/// What runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) version: String,
    pub(crate) fault: Option<Fault>,
}

impl Images {
    /// Adds an image, or changes what it does.
    pub fn add(&mut self, image: impl Into<String>, behaviour: Behaviour) {
        self.added.insert(image.into(), behaviour);
    }

    /// Adds an image as the command line names it: `NAME:TAG` (healthy) or `NAME:TAG=BEHAVIOUR`.
    ///
    /// # Errors
    ///
    /// When there is no tag, or no such behaviour.
    pub fn add_argument(&mut self, argument: &str) -> Result<(), ImageError> {
        let (image, behaviour) = argument.split_once('=').unwrap_or((argument, "healthy"));
        if split(image).is_none() {
            return Err(ImageError::NoTag(argument.to_owned()));
        }
        let behaviour = behaviour.parse().map_err(|unknown| ImageError::Behaviour(argument.to_owned(), unknown))?;
        self.add(image, behaviour);
        Ok(())
    }

    /// What an image runs, or the registry's words why it can't be pulled.
    pub(crate) fn pull(&self, image: &str) -> Result<Program, String> {
        let not_found = || {
            let full = full_name(image);
            format!(
                "rpc error: code = NotFound desc = failed to pull and unpack image {full:?}: failed to resolve \
                 reference {full:?}: {full}: not found"
            )
        };
        let (name, tag) = split(image).ok_or_else(not_found)?;
        let program = |behaviour: Behaviour| Program {
            version: tag.to_owned(),
            fault: match behaviour {
                Behaviour::Healthy => None,
                Behaviour::Broken(fault) => Some(fault),
            },
        };
        if let Some(behaviour) = self.added.get(image) {
            return Ok(program(*behaviour));
        }
        if name.rsplit('/').next() != Some(SHOP) {
            return Err(not_found());
        }
        if SHOP_TAGS.contains(&tag) {
            return Ok(program(Behaviour::Healthy));
        }
        let fault =
            tag.split_once('-').filter(|(version, _)| is_version(version)).and_then(|(_, name)| name.parse().ok());
        fault.map(|fault| program(Behaviour::Broken(fault))).ok_or_else(not_found)
    }
}

fn split(image: &str) -> Option<(&str, &str)> {
    let (name, tag) = image.rsplit_once(':')?;
    (!name.is_empty() && !tag.is_empty() && !tag.contains('/') && !name.contains('@')).then_some((name, tag))
}

/// A kubelet's words about a name that no image can have.
pub(crate) fn invalid_name(image: &str) -> Option<String> {
    let why = if image.is_empty() || image.contains(char::is_whitespace) {
        "invalid reference format"
    } else {
        let (name, _tag) = split(image).unwrap_or((image, ""));
        // A registry's host may be in upper case, what it holds may not.
        let (host, repository) = name.split_once('/').unwrap_or(("", name));
        let is_registry = host.contains(['.', ':']) || host == "localhost";
        let lower = |text: &str| !text.contains(|letter: char| letter.is_ascii_uppercase());
        if lower(repository) && (is_registry || lower(host)) {
            return None;
        }
        "invalid reference format: repository name must be lowercase"
    };
    Some(format!("Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {why}"))
}

fn is_version(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn full_name(image: &str) -> String {
    let has_registry = image.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    let tagged =
        if split(image).is_some() || image.contains('@') { image.to_owned() } else { format!("{image}:latest") };
    match (has_registry, image.contains('/')) {
        (true, _) => tagged,
        (false, true) => format!("docker.io/{tagged}"),
        (false, false) => format!("docker.io/library/{tagged}"),
    }
}
