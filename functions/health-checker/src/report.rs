//! The outcome of a check, as the bus gets it.

use contracts::Region;
use events::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::time::{Duration, SystemTime};

/// How well something works. Invariant: ordered from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should.
    Healthy,
    /// Slowly.
    Degraded,
    /// Not at all.
    Unhealthy,
}

impl Health {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The number for metrics: 0, 1 or 2.
    pub const fn level(self) -> f64 {
        match self {
            Self::Healthy => 0.0,
            Self::Degraded => 1.0,
            Self::Unhealthy => 2.0,
        }
    }
}

/// The detail of a health check event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheckEvent {
    /// When the check began.
    #[serde(serialize_with = "rfc3339")]
    pub checked_at: SystemTime,
    /// The region that looked.
    #[serde(serialize_with = "name")]
    pub observer_region: Region,
    /// The worst of the regions' verdicts.
    pub overall: Health,
    /// The regions, in the order of the configuration.
    pub regions: Vec<RegionReport>,
}

/// What is to be said about one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionReport {
    /// The region.
    #[serde(serialize_with = "name")]
    pub region: Region,
    /// The verdict, which goes by several checks.
    pub verdict: Health,
    /// What this check saw.
    pub probes: Vec<ProbeReport>,
}

/// What one probe saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeReport {
    /// The service's short name.
    pub service: &'static str,
    /// How it works.
    pub status: Health,
    /// How long the probe's slowest call took, in milliseconds; of a probe that failed, how long it took until then.
    #[serde(rename = "latency_ms", serialize_with = "milliseconds")]
    pub latency: Duration,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl HealthCheckEvent {
    /// The event's JSON, an object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and lists are always JSON")
    }
}

impl RegionReport {
    /// The worst that this check saw.
    pub(crate) fn worst(probes: &[ProbeReport]) -> Health {
        probes.iter().map(|probe| probe.status).max().unwrap_or(Health::Healthy)
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339_text(time: SystemTime) -> String {
    let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{timestamp:.3}")
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_text(*time))
}

fn name<S: Serializer>(region: &Region, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(region.as_str())
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
