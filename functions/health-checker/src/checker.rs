//! One check of all regions, from the probes to the verdicts.
//!
//! Every probe of every region runs at the same time and has its own limit, so a region that hangs neither delays nor
//! spoils what is said of another. The checks before are read meanwhile. The verdicts are kept in the own region, and the
//! outcome is told on the own region's bus, whatever became of the rest: a store that is down is a reason to tell.
//! A verdict that was made without knowing the checks before overwrites none that is kept.
//!
//! Control planes are looked at where that is wanted, for people who read the event. Whatever comes of it, verdicts are the
//! same: a region whose tables can't be listed may well serve them.

use crate::clock::{Clock, within};
use crate::verdict::{Hysteresis, Verdict};
use aws::health::{AnnounceHealth, HealthError, KeepVerdicts, Keeping, KeptText, ProbeRegion, ProbedService};
use contracts::{HealthChecker, HealthCheckerSettings, Region};
use events::Timestamp;
use events::health::{Health, HealthCheckEvent, ProbeReport, RegionReport};
use futures::future::{join, join_all, join3};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
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
    /// Whether control planes are looked at too.
    lists: bool,
    /// What this process last made or read, and when.
    copies: Mutex<BTreeMap<Region, Remembered>>,
}

#[derive(Clone)]
struct Remembered {
    verdict: Verdict,
    since: SystemTime,
    /// Whether the kept verdict before it was known, or that there is none.
    is_founded: bool,
}

/// What a check builds upon.
#[derive(Default)]
struct Before {
    verdict: Option<Verdict>,
    /// The stamp of what the store holds, as far as is known.
    seen: Option<u64>,
    is_founded: bool,
}

/// What the store holds.
struct Stored {
    stamp: u64,
    /// None when it can't be read.
    verdict: Option<Verdict>,
}

impl<P: ProbeRegion, K: KeepVerdicts, A: AnnounceHealth, C: Clock> Checker<P, K, A, C> {
    /// A checker of the regions in `config`, each through what `probes` makes for it.
    pub fn new(config: &HealthChecker, probes: impl Fn(&Region) -> P, store: K, bus: A, clock: C) -> Self {
        let HealthCheckerSettings { unhealthy_after, window, check_interval, verdict_expiry, .. } = config.settings;
        Self {
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
                interval: check_interval,
            },
            lists: config.control_planes.is_listed(),
            copies: Mutex::default(),
        }
    }

    /// The region in which this runs.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Checks all regions once, keeps the verdicts and tells of them.
    ///
    /// It doesn't fail: what can't be kept or told is logged and counted, and a repeat would be the same check.
    pub async fn check(&self) -> HealthCheckEvent {
        let checked_at = self.clock.now();
        let observe = join_all(self.probes.iter().map(|(region, probes)| self.observe(region, probes)));
        let list = join_all(self.probes.iter().map(|(region, probes)| self.list(region, probes)));
        let load = join_all(self.probes.iter().map(|(region, _)| self.before(region)));
        let (observed, listed, before) = join3(observe, list, load).await;
        let mut regions = Vec::with_capacity(self.probes.len());
        let mut verdicts = Vec::with_capacity(self.probes.len());
        for ((((region, _), probes), control_planes), before) in
            self.probes.iter().zip(observed).zip(listed).zip(before)
        {
            let worst = probes.iter().map(|probe| probe.status).max().unwrap_or(Health::Healthy);
            let verdict = Verdict::after(before.verdict.as_ref(), worst, checked_at, self.hysteresis);
            regions.push(RegionReport { region: region.clone(), verdict: verdict.health, probes, control_planes });
            verdicts.push((region, verdict, before));
        }
        let began = Timestamp::try_from(checked_at).unwrap_or(Timestamp::UNIX_EPOCH);
        let event = HealthCheckEvent::new(began, self.region.clone(), regions);
        let keep = join_all(verdicts.into_iter().map(|(region, verdict, before)| self.keep(region, verdict, before)));
        join(keep, self.tell(&event)).await;
        event
    }

    /// The verdict on the own region, from this process if it is fresh, else from the store. A store that doesn't answer
    /// makes nobody unhealthy: what this process knows is told until it expires.
    pub(crate) async fn own_verdict(&self) -> Option<Verdict> {
        let copy = self.copy(&self.region);
        let fresh = copy.as_ref().filter(|copy| {
            // A clock that was set back makes no copy younger.
            self.clock.now().duration_since(copy.since).is_ok_and(|age| age <= COPY_AGE)
        });
        if let Some(copy) = fresh {
            return Some(copy.verdict.clone());
        }
        match self.load(&self.region, READ_TIMEOUT).await {
            Ok(stored) => {
                let verdict = stored.and_then(|stored| stored.verdict)?;
                self.remember(&self.region, verdict.clone(), true);
                Some(verdict)
            }
            Err(_) => copy.map(|copy| copy.verdict),
        }
    }

    /// Whether a verdict is too old to be told.
    pub(crate) fn is_expired(&self, verdict: &Verdict) -> bool {
        verdict.is_expired(self.clock.now(), self.settings.verdict_expiry)
    }

    async fn observe(&self, region: &Region, probes: &P) -> Vec<ProbeReport> {
        join_all(ProbedService::ALL.map(|service| self.probe(region, probes, service))).await
    }

    async fn probe(&self, region: &Region, probes: &P, service: ProbedService) -> ProbeReport {
        let report = self.report(service, probes.probe(service)).await;
        let (region, name, status) = (region.as_str(), service.as_str(), report.status.as_str());
        telemetry::HEALTH_PROBE_SECONDS.observe_duration(&[region, name], report.latency);
        telemetry::HEALTH_PROBES_TOTAL.inc(&[region, name, status]);
        if let Some(error) = &report.error {
            tracing::warn!(region, service = name, error, "a probe failed");
        }
        report
    }

    /// What the control planes of a region say, if that is wanted. It has its own limit like a probe, runs beside the probes
    /// and changes no verdict.
    async fn list(&self, region: &Region, probes: &P) -> Vec<ProbeReport> {
        if !self.lists {
            return Vec::new();
        }
        let reports = join_all(ProbedService::ALL.map(|service| self.report(service, probes.list(service)))).await;
        for ProbeReport { service, error, .. } in &reports {
            if let Some(error) = error {
                let (region, service) = (region.as_str(), service.as_str());
                tracing::info!(region, service, error, "a control plane did not answer, which changes no verdict");
            }
        }
        reports
    }

    /// Waits for `work` as long as a probe may take, and says how it went.
    async fn report(
        &self,
        service: ProbedService,
        work: impl Future<Output = Result<Duration, HealthError>>,
    ) -> ProbeReport {
        let started = self.clock.elapsed();
        let outcome = within(&self.clock, self.settings.probe_timeout, work).await;
        let (latency, status) = match outcome {
            Ok(slowest) if slowest > self.settings.degraded_latency => (slowest, Health::Degraded),
            Ok(slowest) => (slowest, Health::Healthy),
            Err(_) => (self.clock.elapsed().saturating_sub(started), Health::Unhealthy),
        };
        let error = outcome.err().map(|error| {
            let mut text = error.to_string();
            text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
            text
        });
        ProbeReport { service, status, latency, error }
    }

    /// What this check builds upon: the store's verdict or, when that lacks a check of this process, the copy.
    async fn before(&self, region: &Region) -> Before {
        let loaded = self.load(region, self.settings.probe_timeout).await;
        let copy = self.copy(region);
        let Ok(stored) = loaded else {
            // Nobody knows what is there. It may be what this process kept last.
            return copy.map_or_else(Before::default, |Remembered { verdict, is_founded, .. }| Before {
                seen: Some(verdict.stamp()),
                verdict: Some(verdict),
                is_founded,
            });
        };
        let seen = stored.as_ref().map(|stored| stored.stamp);
        let stored = stored.and_then(|stored| stored.verdict);
        // A verdict that was made without knowing the stored one is worth less than that.
        let copy = copy.filter(|copy| copy.is_founded || stored.is_none()).map(|copy| copy.verdict);
        let verdict = stored.into_iter().chain(copy).max_by_key(Verdict::checked_at);
        Before { verdict, seen, is_founded: true }
    }

    /// What the store holds of a region. "Could not ask" and "not there" differ.
    async fn load(&self, region: &Region, limit: Duration) -> Result<Option<Stored>, HealthError> {
        let loaded = within(&self.clock, limit, self.store.load(&key(region))).await.inspect_err(|error| {
            telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["load_verdict", error.class()]);
            tracing::error!(region = region.as_str(), error = error as &dyn Error, "a verdict could not be loaded");
        })?;
        let Some(KeptText { text, stamp }) = loaded else { return Ok(None) };
        let verdict = Verdict::parse(&text);
        if verdict.is_none() {
            tracing::error!(region = region.as_str(), "the kept verdict can't be read; the next check makes it anew");
        }
        Ok(Some(Stored { stamp, verdict }))
    }

    async fn keep(&self, region: &Region, verdict: Verdict, before: Before) {
        telemetry::HEALTH_STATUS.set(&[region.as_str()], verdict.health.level());
        let expires_at = verdict.checked_at() + self.settings.verdict_expiry + KEPT_AFTER_EXPIRY;
        let (key, kept) = (key(region), KeptText { text: verdict.to_json(), stamp: verdict.stamp() });
        let keep = self.store.keep(&key, &kept, before.seen, expires_at);
        match within(&self.clock, TELL_TIMEOUT, keep).await {
            Ok(Keeping::Kept) => self.remember(region, verdict, true),
            Ok(Keeping::Overtaken) => {
                tracing::warn!(
                    region = region.as_str(),
                    "a verdict is dropped: one that it doesn't build upon is kept"
                );
                self.forget(region);
            }
            Err(error) => {
                telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["keep_verdict", error.class()]);
                tracing::error!(region = region.as_str(), error = &error as &dyn Error, "a verdict could not be kept");
                self.remember(region, verdict, before.is_founded);
            }
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

    fn remember(&self, region: &Region, verdict: Verdict, is_founded: bool) {
        let copy = Remembered { verdict, since: self.clock.now(), is_founded };
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone(), copy);
    }

    fn forget(&self, region: &Region) {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).remove(region);
    }
}

/// The store's key of the verdict on a region.
fn key(region: &Region) -> String {
    format!("verdict#{region}")
}
