//! Whether changes of one row may become one.

use crate::Setting;

/// Whether changes of one row that wait together are written as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coalescing {
    /// Each change is written, so each is seen and becomes an event.
    Never,
    /// Only what they come to is written: fewer writes while there is much to do, and the versions between are skipped.
    Waiting,
}

impl Setting for Coalescing {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "waiting" => Ok(Self::Waiting),
            _ => Err("neither `never` nor `waiting`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Never => "never",
            Self::Waiting => "waiting",
        }
        .to_owned()
    }
}
