//! One check of all regions, from the probes to the verdicts.
//!
//! Every probe of every region runs at the same time and has its own limit, so a region that hangs neither delays nor
//! spoils what is said of another. The checks before are read meanwhile. The verdicts are kept in the own region, and the
//! outcome is told on the own region's bus, whatever became of the rest: a store that is down is a reason to tell.

use crate::clock::{Clock, within};
use crate::report::{Health, HealthCheckEvent, ProbeReport, RegionReport};
use crate::verdict::{Hysteresis, Verdict};
use aws::health::{AnnounceHealth, KeepVerdicts, ProbeRegion, ProbedService};
use contracts::{HealthChecker, HealthCheckerSettings, Region};
use futures::future::{join, join_all};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The longest that keeping the verdicts and telling of them may take, at the same time.
/// With the longest `probe_timeout`, 20 s, a check stays below the function's 30 s.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that reading the verdict for an answer may take. Route 53's checkers wait for two seconds
/// (Route 53 developer guide, "How Amazon Route 53 determines whether a health check is healthy", read 2026-11).
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a verdict that was read or made in this process answers without being read again.
const COPY_AGE: Duration = Duration::from_secs(5);

/// How long a verdict stays in the store after it has expired, for people who look.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Most bytes of an error in a report.
const MAX_ERROR_BYTES: usize = 300;

/// Checks regions and remembers.
pub struct Checker<P, K, A, C> {
    region: Region,
    probes: Vec<(Region, P)>,
    store: K,
    bus: A,
    clock: C,
    settings: HealthCheckerSettings,
    hysteresis: Hysteresis,
    /// What this process last made or read, and when.
    copies: Mutex<BTreeMap<Region, Remembered>>,
}

#[derive(Clone)]
struct Remembered {
    verdict: Verdict,
    since: SystemTime,
}

/// A configuration that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableConfig {
    /// A verdict could never turn.
    #[error(
        "`UNHEALTHY_AFTER` is {unhealthy_after} and `HEALTH_WINDOW` is {window}: so many of the last checks can't fail; make the window as large"
    )]
    NeverUnhealthy {
        /// `UNHEALTHY_AFTER`.
        unhealthy_after: u32,
        /// `HEALTH_WINDOW`.
        window: u32,
    },
    /// The health endpoint would never have a verdict.
    #[error(
        "`CHECKED_REGIONS` lacks the function's own region `{region}`, whose verdict its health endpoint answers with; add it"
    )]
    OwnRegionUnchecked {
        /// The function's region.
        region: Region,
    },
}

impl<P: ProbeRegion, K: KeepVerdicts, A: AnnounceHealth, C: Clock> Checker<P, K, A, C> {
    /// A checker of the regions in `config`, each through what `probes` makes for it.
    ///
    /// # Errors
    /// When the parts of the configuration contradict each other.
    pub fn new(
        config: &HealthChecker,
        probes: impl Fn(&Region) -> P,
        store: K,
        bus: A,
        clock: C,
    ) -> Result<Self, UnusableConfig> {
        let HealthCheckerSettings { unhealthy_after, window, verdict_expiry, .. } = config.settings;
        if unhealthy_after > window {
            return Err(UnusableConfig::NeverUnhealthy { unhealthy_after, window });
        }
        if !config.regions.iter().any(|region| *region == config.region) {
            return Err(UnusableConfig::OwnRegionUnchecked { region: config.region.clone() });
        }
        Ok(Self {
            region: config.region.clone(),
            probes: config.regions.iter().map(|region| (region.clone(), probes(region))).collect(),
            store,
            bus,
            clock,
            settings: config.settings.clone(),
            hysteresis: Hysteresis {
                turns_after: unhealthy_after as usize,
                window: window as usize,
                expiry: verdict_expiry,
            },
            copies: Mutex::default(),
        })
    }

    /// The region in which this runs.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Checks all regions once, keeps the verdicts and tells of them.
    ///
    /// It doesn't fail: what can't be kept or told is logged and counted, and a repeat would only count a check twice.
    pub async fn check(&self) -> HealthCheckEvent {
        let checked_at = self.clock.now();
        let observe = join_all(self.probes.iter().map(|(region, probes)| self.observe(region, probes)));
        let load = join_all(self.probes.iter().map(|(region, _)| self.previous(region)));
        let (observed, previous) = join(observe, load).await;
        let mut regions = Vec::with_capacity(self.probes.len());
        let mut verdicts = Vec::with_capacity(self.probes.len());
        for (((region, _), probes), previous) in self.probes.iter().zip(observed).zip(previous) {
            let worst = RegionReport::worst(&probes);
            let verdict = Verdict::after(previous.as_ref(), worst, checked_at, self.hysteresis);
            regions.push(RegionReport { region: region.clone(), verdict: verdict.health, probes });
            verdicts.push((region, verdict));
        }
        let overall = regions.iter().map(|report| report.verdict).max().unwrap_or(Health::Healthy);
        let event = HealthCheckEvent { checked_at, observer_region: self.region.clone(), overall, regions };
        let keep = join_all(verdicts.into_iter().map(|(region, verdict)| self.keep(region, verdict)));
        join(keep, self.tell(&event)).await;
        event
    }

    /// The verdict on the own region, from this process if it is fresh, else from the store.
    pub(crate) async fn own_verdict(&self) -> Option<Verdict> {
        let fresh = self.copy(&self.region).filter(|copy| {
            // A clock that was set back makes no copy younger.
            self.clock.now().duration_since(copy.since).is_ok_and(|age| age <= COPY_AGE)
        });
        if let Some(copy) = fresh {
            return Some(copy.verdict);
        }
        let verdict = self.load(&self.region, READ_TIMEOUT).await?;
        self.remember(&self.region, &verdict);
        Some(verdict)
    }

    /// Whether a verdict is too old to be told.
    pub(crate) fn is_expired(&self, verdict: &Verdict) -> bool {
        verdict.is_expired(self.clock.now(), self.settings.verdict_expiry)
    }

    async fn observe(&self, region: &Region, probes: &P) -> Vec<ProbeReport> {
        join_all(ProbedService::ALL.map(|service| self.probe(region, probes, service))).await
    }

    async fn probe(&self, region: &Region, probes: &P, service: ProbedService) -> ProbeReport {
        let limit = self.settings.probe_timeout;
        let started = self.clock.elapsed();
        let outcome = within(&self.clock, limit, probes.probe(service)).await;
        let latency = self.clock.elapsed().saturating_sub(started);
        let status = match outcome {
            Ok(()) if latency > self.settings.degraded_latency => Health::Degraded,
            Ok(()) => Health::Healthy,
            Err(_) => Health::Unhealthy,
        };
        let service = service.as_str();
        telemetry::HEALTH_PROBE_SECONDS.observe_duration(&[region.as_str(), service], latency);
        telemetry::HEALTH_PROBES_TOTAL.inc(&[region.as_str(), service, status.as_str()]);
        let error = outcome.err().map(|error| {
            tracing::warn!(region = region.as_str(), service, error = &error as &dyn Error, "a probe failed");
            let mut text = error.to_string();
            text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
            text
        });
        ProbeReport { service, status, latency, error }
    }

    /// The verdict before this check: the store's or, when that lacks a check of this process, the copy.
    async fn previous(&self, region: &Region) -> Option<Verdict> {
        let kept = self.load(region, self.settings.probe_timeout).await;
        let copied = self.copy(region).map(|copy| copy.verdict);
        kept.into_iter().chain(copied).max_by_key(Verdict::checked_at)
    }

    async fn load(&self, region: &Region, limit: Duration) -> Option<Verdict> {
        let text = match within(&self.clock, limit, self.store.load(&key(region))).await {
            Ok(text) => text?,
            Err(error) => {
                telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["load_verdict", error.class()]);
                tracing::error!(
                    region = region.as_str(),
                    error = &error as &dyn Error,
                    "a verdict could not be loaded"
                );
                return None;
            }
        };
        let verdict = Verdict::parse(&text);
        if verdict.is_none() {
            tracing::error!(region = region.as_str(), "the kept verdict can't be read; the next check makes it anew");
        }
        verdict
    }

    async fn keep(&self, region: &Region, verdict: Verdict) {
        telemetry::HEALTH_STATUS.set(&[region.as_str()], verdict.health.level());
        self.remember(region, &verdict);
        let expires_at = verdict.checked_at() + self.settings.verdict_expiry + KEPT_AFTER_EXPIRY;
        let (key, text) = (key(region), verdict.to_json());
        if let Err(error) = within(&self.clock, TELL_TIMEOUT, self.store.keep(&key, &text, expires_at)).await {
            telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["keep_verdict", error.class()]);
            tracing::error!(region = region.as_str(), error = &error as &dyn Error, "a verdict could not be kept");
        }
    }

    async fn tell(&self, event: &HealthCheckEvent) {
        if let Err(error) = within(&self.clock, TELL_TIMEOUT, self.bus.announce(&event.to_json())).await {
            telemetry::EVENTBRIDGE_PUBLISH_ERRORS_TOTAL.inc(&[self.region.as_str(), error.class()]);
            tracing::error!(error = &error as &dyn Error, "the check could not be told of");
        }
    }

    fn copy(&self, region: &Region) -> Option<Remembered> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned()
    }

    fn remember(&self, region: &Region, verdict: &Verdict) {
        let copy = Remembered { verdict: verdict.clone(), since: self.clock.now() };
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone(), copy);
    }
}

/// The store's key of the verdict on a region.
fn key(region: &Region) -> String {
    format!("verdict#{region}")
}
