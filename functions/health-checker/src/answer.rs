//! The answer of the health endpoint.
//!
//! It says whether the region may get traffic, when its health was found out, and how authority stands as far as is known. It
//! says nothing about the region's parts: anybody may ask.

use crate::authority::Known;
use crate::verdict::Verdict;
use contracts::Region;
use events::Timestamp;
use events::health::Health;
use serde::Serialize;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// An HTTP response, as API Gateway takes it from a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAnswer {
    status_code: u16,
    headers: Headers,
    body: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Headers {
    content_type: &'static str,
    cache_control: &'static str,
}

/// What an answer rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grounds<'a> {
    /// The region that the answer is about.
    pub(crate) region: &'a Region,
    /// The last verdict on it.
    pub(crate) verdict: Option<&'a Verdict>,
    /// Whether the verdict is too old to say something.
    pub(crate) is_expired: bool,
    /// The newest that is known of authority.
    pub(crate) authority: Option<&'a Known>,
    /// Whether the record says less than is known.
    pub(crate) is_behind: bool,
    /// The time of day.
    pub(crate) now: SystemTime,
}

/// Whether the region may get traffic, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// It may, unless it's unhealthy.
    Known(Health),
    /// Nobody knows how it is.
    Unknown,
    /// It looks well, and somebody decided that it gets none.
    Withdrawn,
    /// It looks well, and the record can't be believed: there was a later decision than the record tells of.
    Fenced,
}

impl Grounds<'_> {
    /// The table of `docs/semantics.md`, "Health checker".
    fn status(&self) -> Status {
        let Self { region, verdict, is_expired, authority, is_behind, now: _ } = self;
        let is_withdrawn = authority.is_some_and(|known| known.standing.is_withdrawn(region));
        match verdict.filter(|_| !is_expired).map(|verdict| verdict.health) {
            None => Status::Unknown,
            Some(Health::Unhealthy) => Status::Known(Health::Unhealthy),
            Some(_) if is_withdrawn => Status::Withdrawn,
            Some(_) if *is_behind => Status::Fenced,
            Some(health) => Status::Known(health),
        }
    }
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Known(health) => health.as_str(),
            Self::Unknown => "unknown",
            Self::Withdrawn => "withdrawn",
            Self::Fenced => "fenced",
        }
    }

    fn code(self) -> u16 {
        match self {
            Self::Known(Health::Healthy | Health::Degraded) => 200,
            Self::Known(Health::Unhealthy) | Self::Unknown | Self::Withdrawn | Self::Fenced => 503,
        }
    }
}

impl HttpAnswer {
    /// 200 when the region may get traffic, else 503.
    pub(crate) fn of(grounds: Grounds<'_>) -> Self {
        let status = grounds.status();
        let Grounds { region, verdict, authority, now, .. } = grounds;
        let standing = authority.map(|known| &known.standing);
        let body = json!({
            "region": region.as_str(),
            "status": status.as_str(),
            "verdict": verdict.map(|verdict| verdict.health.as_str()),
            "checked_at": verdict.map(|verdict| rfc3339_text(verdict.checked_at())),
            "verdict_age_ms": verdict.map(|verdict| millis(now.duration_since(verdict.checked_at()).unwrap_or_default())),
            "epoch": standing.map(|standing| standing.epoch),
            "owner": standing.and_then(|standing| standing.owner.as_ref()).map(Region::as_str),
            "withdrawn": standing.is_some_and(|standing| standing.is_withdrawn(region)),
            "authority_age_ms": authority.map(|known| millis(known.age(now))),
        });
        Self {
            status_code: status.code(),
            headers: Headers { content_type: "application/json", cache_control: "no-store" },
            body: body.to_string(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, to the millisecond.
fn rfc3339_text(time: SystemTime) -> String {
    format!("{:.3}", Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Hysteresis;
    use events::authority::Standing;
    use std::num::NonZeroU64;
    use std::time::UNIX_EPOCH;

    fn verdict(health: Health) -> Verdict {
        let hysteresis = Hysteresis {
            turns_after: 1,
            window: 1,
            expiry: Duration::from_secs(300),
            interval: Duration::from_secs(60),
        };
        Verdict::after(None, health, UNIX_EPOCH, hysteresis)
    }

    fn known(withdrawn: &[&str]) -> Known {
        let epoch = NonZeroU64::new(5).expect("from 1");
        let region = |name: &&str| Region::new(name).expect("a region");
        let withdrawn = withdrawn.iter().map(|name| (region(name), epoch)).collect();
        Known::new(Standing { epoch: epoch.get(), owner: Some(region(&"us-east-1")), withdrawn }, UNIX_EPOCH)
    }

    /// The rows of the table of `docs/semantics.md`, "Health checker", in its order.
    #[test]
    fn the_table_of_answers() {
        use Health::{Degraded, Healthy, Unhealthy};
        let (elsewhere, here) = (known(&["us-east-1"]), known(&["us-west-2", "us-east-1"]));
        let check = |verdict: Option<(Health, bool)>,
                     authority: Option<&Known>,
                     is_behind: bool,
                     expected: (u16, &str)| {
            let made = verdict.map(|(health, _)| self::verdict(health));
            let status = Grounds {
                region: &Region::new("us-west-2").expect("a region"),
                verdict: made.as_ref(),
                is_expired: verdict.is_some_and(|(_, is_expired)| is_expired),
                authority,
                is_behind,
                now: UNIX_EPOCH,
            }
            .status();
            assert_eq!((status.code(), status.as_str()), expected, "{verdict:?}, {authority:?}, behind: {is_behind}");
        };
        // Verdicts that lead nobody here, whatever the record says: rows 1 and 2.
        for (authority, is_behind) in [
            (None, false),
            (Some(&elsewhere), false),
            (Some(&elsewhere), true),
            (Some(&here), false),
            (Some(&here), true),
        ] {
            check(None, authority, is_behind, (503, "unknown"));
            for health in Health::ALL {
                check(Some((health, true)), authority, is_behind, (503, "unknown"));
            }
            check(Some((Unhealthy, false)), authority, is_behind, (503, "unhealthy"));
        }
        for health in [Healthy, Degraded] {
            let well = Some((health, false));
            // Row 3.
            check(well, Some(&here), false, (503, "withdrawn"));
            check(well, Some(&here), true, (503, "withdrawn"));
            // Row 4.
            check(well, Some(&elsewhere), true, (503, "fenced"));
            // Rows 5 to 7.
            check(well, Some(&elsewhere), false, (200, health.as_str()));
            check(well, Some(&Known::new(Standing::default(), UNIX_EPOCH)), false, (200, health.as_str()));
            check(well, None, false, (200, health.as_str()));
        }
    }
}
