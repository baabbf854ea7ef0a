//! What a program does where the record of authority doesn't say whether its region owns.

use std::time::Duration;

use crate::Setting;
use crate::kafka::words;
use crate::setting::duration;

/// What an owner does that can't read the record of authority any more, or finds that it was set back.
///
/// As text `fail_static`, or `fail_safe:` and a duration, such as `fail_safe:30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhenUnread {
    /// It goes on with what it knew: no outage of the table stops a region. Writes of an earlier epoch are refused by the rows,
    /// and a lease, where there is one, ends all the same.
    FailStatic,
    /// It stops when the record hasn't been confirmed for so long: a region that is cut off writes nothing that another may own
    /// by now, and an outage of the table stops every region.
    FailSafe(Duration),
}

impl Setting for WhenUnread {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "fail_static" => Ok(Self::FailStatic),
            Some(("fail_safe", after)) => duration::parse(after).map(Self::FailSafe),
            _ => Err("neither `fail_static` nor `fail_safe:` and a duration, such as `fail_safe:30s`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::FailStatic => "fail_static".to_owned(),
            Self::FailSafe(after) => format!("fail_safe:{}", duration::render(*after)),
        }
    }
}

words! {
    /// What a program does while nobody has made a record of authority.
    WithoutRecord {
        /// It waits for a record that names its region.
        StandBy = "stand_by",
        /// It owns, with epoch 0, which any record ends. Only one region of a system may be told so.
        Own = "own",
    } or "neither `stand_by` nor `own`"
}
