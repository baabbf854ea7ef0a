//! Changes of who may do what, and of what can be reached.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A change of access, of one holder or to one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessChange {
    /// Whose access, or access to what: ``role `Worker` ``.
    pub subject: String,
    /// Which way it goes.
    pub direction: Direction,
    /// What is possible now and wasn't, or can't be proven to have been.
    pub gained: Vec<String>,
    /// What was possible and isn't, or can't be proven to be.
    pub lost: Vec<String>,
    /// What deserves a second look.
    pub flags: Vec<Flag>,
}

impl AccessChange {
    /// The change in one line; of many parts the first three and how many more there are.
    pub fn text(&self) -> String {
        let parts: Vec<&str> = self.gained.iter().chain(&self.lost).map(String::as_str).collect();
        let mut text = format!("{} {}", self.subject, self.direction);
        if self.direction == Direction::Same {
            text.push_str(": written in another way");
        } else if !parts.is_empty() {
            text.push_str(": ");
            text.push_str(&parts[..parts.len().min(Self::SHOWN)].join("; "));
        }
        if parts.len() > Self::SHOWN {
            text.push_str(&format!("; and {} more", parts.len() - Self::SHOWN));
        }
        if !self.flags.is_empty() {
            let flags: Vec<String> = self.flags.iter().map(Flag::to_string).collect();
            text.push_str(&format!(" [{}]", flags.join(", ")));
        }
        text
    }

    /// How many parts stand in one line.
    pub(crate) const SHOWN: usize = 3;
}

/// Which way access changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Written in another way.
    Same,
    /// Less is possible.
    Narrowed,
    /// More is possible, or it can't be proven that not.
    Broadened,
    /// Some is gained and some lost.
    Both,
}

impl Direction {
    /// Whether more is possible, or it can't be proven that not.
    pub fn broadens(self) -> bool {
        self >= Self::Broadened
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Narrowed => "narrowed",
            Self::Broadened => "broadened",
            Self::Both => "broadened and narrowed",
        })
    }
}

/// What deserves a second look in a change of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// A new allowed action has a wildcard.
    WildcardAction,
    /// A new allowed resource is `*`.
    WildcardResource,
    /// Something is allowed by what it isn't.
    ByExclusion,
    /// Somebody else may take the role, or under other conditions.
    TrustChange,
    /// Everybody is let in.
    PublicPrincipal,
    /// A service may call a function for any resource.
    NoSourceArn,
    /// A service may call a function for any account.
    NoSourceAccount,
    /// A policy that isn't in the template, or can't be read.
    Opaque,
    /// The whole internet.
    OpenToWorld,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WildcardAction => "wildcard in an action",
            Self::WildcardResource => "any resource",
            Self::ByExclusion => "allowed by exclusion",
            Self::TrustChange => "trust changes",
            Self::PublicPrincipal => "public principal",
            Self::NoSourceArn => "no SourceArn",
            Self::NoSourceAccount => "no SourceAccount",
            Self::Opaque => "policy can't be read here",
            Self::OpenToWorld => "open to the world",
        })
    }
}
