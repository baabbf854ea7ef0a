//! The answer of the health endpoint.
//!
//! It says how the region is and when that was found out, and nothing about its parts: anybody may ask.

use crate::verdict::Verdict;
use contracts::Region;
use events::Timestamp;
use events::health::Health;
use serde::Serialize;
use serde_json::json;
use std::time::SystemTime;

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

impl HttpAnswer {
    /// What is said of `region`: 200 when it's healthy or degraded, and 503 when it's unhealthy or nobody knows.
    pub(crate) fn of(region: &Region, verdict: Option<&Verdict>, is_expired: bool) -> Self {
        let known = verdict.filter(|_| !is_expired);
        let works = known.is_some_and(|verdict| verdict.health != Health::Unhealthy);
        let body = json!({
            "region": region.as_str(),
            "status": known.map_or("unknown", |verdict| verdict.health.as_str()),
            "checked_at": verdict.map(|verdict| rfc3339_text(verdict.checked_at())),
        });
        Self {
            status_code: if works { 200 } else { 503 },
            headers: Headers { content_type: "application/json", cache_control: "no-store" },
            body: body.to_string(),
        }
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn rfc3339_text(time: SystemTime) -> String {
    format!("{:.3}", Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}
