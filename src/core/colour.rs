//! The two colours and what comes in pairs of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the two copies of an app's workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// The overlay `overlays/blue`.
    Blue,
    /// The overlay `overlays/green`.
    Green,
}

impl Colour {
    /// Both, in the order in which they are always listed.
    pub const BOTH: [Self; 2] = [Self::Blue, Self::Green];

    /// The colour that this one is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// The name as it stands in selectors, overlays and the lock.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names neither colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `blue` nor `green`")]
pub struct UnknownColour(pub String);

impl FromStr for Colour {
    type Err = UnknownColour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "blue" => Ok(Self::Blue),
            "green" => Ok(Self::Green),
            other => Err(UnknownColour(other.to_owned())),
        }
    }
}

/// One value for each colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ByColour<T> {
    /// Blue's.
    pub blue: T,
    /// Green's.
    pub green: T,
}

impl<T> ByColour<T> {
    /// Makes one value for each colour.
    pub fn from_fn(mut make: impl FnMut(Colour) -> T) -> Self {
        Self { blue: make(Colour::Blue), green: make(Colour::Green) }
    }

    /// The values with their colours, blue first.
    pub fn iter(&self) -> impl Iterator<Item = (Colour, &T)> {
        [(Colour::Blue, &self.blue), (Colour::Green, &self.green)].into_iter()
    }
}

impl<T> std::ops::Index<Colour> for ByColour<T> {
    type Output = T;

    fn index(&self, colour: Colour) -> &T {
        match colour {
            Colour::Blue => &self.blue,
            Colour::Green => &self.green,
        }
    }
}

impl<T> std::ops::IndexMut<Colour> for ByColour<T> {
    fn index_mut(&mut self, colour: Colour) -> &mut T {
        match colour {
            Colour::Blue => &mut self.blue,
            Colour::Green => &mut self.green,
        }
    }
}
