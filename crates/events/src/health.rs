//! What tells of health on a bus: the outcome of a check, and the canaries that a check sends.
//!
//! One event tells of all regions that a checker looks at, so that whoever hears of it sees one moment and not a mixture. What
//! a check does to a region, and how several checks become a verdict, isn't known here.

use std::time::Duration;

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::authority::Standing;
use crate::json::to_json;

/// EventBridge's `Source` of canaries and of the health checker's verdicts.
pub const SOURCE: &str = "tandem.health";
/// `DetailType` of an event that is only sent to see that a bus takes it.
pub const CANARY: &str = "Canary";
/// `DetailType` of [`HealthCheckEvent`].
pub const HEALTH_CHECK: &str = "HealthCheckEvent";

/// The version of [`HealthCheckEvent`]'s form. A field that is added leaves it as it is; any other change raises it.
pub const VERSION: u32 = 1;

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
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The word for metrics, the same as in JSON.
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

/// What a region is made of, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbedService {
    /// The tables.
    DynamoDb,
    /// The bus.
    EventBridge,
    /// The queues.
    Sqs,
}

impl ProbedService {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::DynamoDb, Self::EventBridge, Self::Sqs];

    /// The service's short name, in metrics and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::EventBridge => "eventbridge",
            Self::Sqs => "sqs",
        }
    }
}

/// The outcome of one check of all regions, as the detail of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckEvent {
    /// The form that this is written in.
    #[serde(default)]
    version: FormVersion,
    /// When the check began, written to the millisecond.
    #[serde(serialize_with = "to_the_millisecond", deserialize_with = "crate::text::deserialize")]
    pub checked_at: Timestamp,
    /// The region that looked.
    #[serde(with = "crate::text")]
    pub observer_region: Region,
    /// The worst of the regions' verdicts.
    pub overall: Health,
    /// What the record of authority said at this check; none when nobody could tell. It has no part in the verdicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Standing>,
    /// The regions, in the order of the checker's configuration.
    pub regions: Vec<RegionReport>,
}

/// What is to be said about one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionReport {
    /// The region.
    #[serde(with = "crate::text")]
    pub region: Region,
    /// The verdict, which goes by several checks.
    pub verdict: Health,
    /// What this check saw of the data planes, which is what the programs need.
    pub probes: Vec<ProbeReport>,
    /// What this check saw of the control planes, if it looked. It has no part in the verdict: they fail apart from what the
    /// programs need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_planes: Vec<ProbeReport>,
}

/// What one probe saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The service.
    pub service: ProbedService,
    /// How it works.
    pub status: Health,
    /// How long the probe's slowest call took, in whole milliseconds; of a probe that failed, how long it took until then.
    #[serde(rename = "latency_ms", with = "milliseconds")]
    pub latency: Duration,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl HealthCheckEvent {
    /// The event of a check that began at `checked_at` and was made in `observer_region`.
    pub fn new(
        checked_at: Timestamp,
        observer_region: Region,
        authority: Option<Standing>,
        regions: Vec<RegionReport>,
    ) -> Self {
        let overall = regions.iter().map(|report| report.verdict).max().unwrap_or(Health::Healthy);
        Self { version: FormVersion, checked_at, observer_region, overall, authority, regions }
    }

    /// The event's JSON, an object.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// Reads the event's JSON. Members that aren't known are passed over.
    ///
    /// # Errors
    /// When it is no such event, or one of another version. Trying again gives the same.
    pub fn parse(json: &str) -> Result<Self, NoHealthCheck> {
        serde_json::from_str(json).map_err(NoHealthCheck)
    }
}

/// A text that is no health check event of a known version.
#[derive(Debug, thiserror::Error)]
#[error("the text is no health check event of version {VERSION}")]
pub struct NoHealthCheck(#[source] serde_json::Error);

/// Stands for [`VERSION`]: nothing else is written or read. An event without a version was written before there were any,
/// in the same form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FormVersion;

impl Serialize for FormVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for FormVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(de::Error::custom(format_args!("version {other} is not understood"))),
        }
    }
}

/// RFC 3339 in UTC.
fn to_the_millisecond<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

mod milliseconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU64;

    fn region(name: &str) -> Region {
        Region::new(name).expect("a region")
    }

    fn probe(service: ProbedService, status: Health, millis: u64, error: Option<&str>) -> ProbeReport {
        ProbeReport { service, status, latency: Duration::from_millis(millis), error: error.map(str::to_owned) }
    }

    fn event() -> HealthCheckEvent {
        let [dynamodb, eventbridge, sqs] = ProbedService::ALL;
        let own = RegionReport {
            region: region("us-west-2"),
            verdict: Health::Healthy,
            probes: vec![probe(dynamodb, Health::Healthy, 12, None)],
            control_planes: Vec::new(),
        };
        let peer = RegionReport {
            region: region("us-east-1"),
            verdict: Health::Degraded,
            probes: vec![
                probe(eventbridge, Health::Degraded, 501, None),
                probe(sqs, Health::Unhealthy, 3000, Some("no answer")),
            ],
            control_planes: vec![probe(dynamodb, Health::Unhealthy, 7, Some("denied"))],
        };
        let checked_at = "2026-03-04T05:06:07.891Z".parse().expect("a time");
        let withdrawn = [(region("us-east-1"), NonZeroU64::MIN)].into();
        let authority = Standing { epoch: 3, owner: Some(region("us-west-2")), withdrawn };
        HealthCheckEvent::new(checked_at, region("us-west-2"), Some(authority), vec![own, peer])
    }

    #[test]
    fn json_is_the_documented_form() {
        insta::assert_snapshot!("health_check", event().to_json());
        assert_eq!(HealthCheckEvent::parse(&event().to_json()).expect("reads back"), event());
    }

    #[test]
    fn the_worst_verdict_is_the_whole() {
        assert_eq!(event().overall, Health::Degraded);
        let nothing = HealthCheckEvent::new(Timestamp::UNIX_EPOCH, region("us-west-2"), None, Vec::new());
        assert_eq!(nothing.overall, Health::Healthy);
    }

    #[test]
    fn other_versions_are_refused_and_unknown_members_are_not() {
        let json = event().to_json();
        for other in ["0", "2", "1.0", "\"1\"", "null", "-1"] {
            let text = json.replace("\"version\":1", &format!("\"version\":{other}"));
            assert!(HealthCheckEvent::parse(&text).is_err(), "{other}");
        }
        let more = json.replace("\"version\":1", "\"version\":1,\"added\":{\"later\":[]}");
        assert_eq!(HealthCheckEvent::parse(&more).expect("reads"), event());
        let before = json.replace("\"version\":1,", "");
        assert_eq!(HealthCheckEvent::parse(&before).expect("reads"), event(), "as it was written before");
        for text in ["", "{}", "[]", "null", &json.replace("us-east-1", "nowhere"), &json.replace("sqs", "s3")] {
            assert!(HealthCheckEvent::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_the_same_in_json_and_metrics() {
        for health in Health::ALL {
            assert_eq!(serde_json::to_value(health).expect("JSON"), health.as_str());
        }
        for service in ProbedService::ALL {
            assert_eq!(serde_json::to_value(service).expect("JSON"), service.as_str());
        }
    }

    fn probes() -> impl Strategy<Value = Vec<ProbeReport>> {
        let services = prop::sample::select(ProbedService::ALL.to_vec());
        let statuses = prop::sample::select(Health::ALL.to_vec());
        let probe =
            (services, statuses, any::<u64>(), any::<Option<String>>()).prop_map(|(service, status, millis, error)| {
                ProbeReport { service, status, latency: Duration::from_millis(millis), error }
            });
        prop::collection::vec(probe, 0..4)
    }

    fn standings() -> impl Strategy<Value = Standing> {
        let withdrawn = prop::sample::select(vec![Vec::new(), vec![(region("us-east-1"), NonZeroU64::MIN)]]);
        (any::<u64>(), any::<bool>(), withdrawn).prop_map(|(epoch, is_owned, withdrawn)| Standing {
            epoch,
            owner: is_owned.then(|| region("us-west-2")),
            withdrawn: withdrawn.into_iter().collect(),
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(
            millis in 0_i64..4_102_444_800_000,
            authority in prop::option::of(standings()),
            regions in prop::collection::vec((prop::sample::select(Health::ALL.to_vec()), probes(), probes()), 0..4),
        ) {
            let regions = regions.into_iter().map(|(verdict, probes, control_planes)| {
                RegionReport { region: region("us-east-1"), verdict, probes, control_planes }
            });
            let checked_at = Timestamp::from_millisecond(millis).expect("a time");
            let event = HealthCheckEvent::new(checked_at, region("us-west-2"), authority, regions.collect());
            prop_assert_eq!(HealthCheckEvent::parse(&event.to_json()).expect("reads back"), event);
        }
    }
}
