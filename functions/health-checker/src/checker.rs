//! One check of all regions, from the probes to the verdicts.
//!
//! Every probe of every region runs at the same time and has its own limit, so a region that hangs neither delays nor
//! spoils what is said of another. The checks before are read meanwhile. The verdicts are kept in the own region, and the
//! outcome is told on the own region's bus, whatever became of the rest: a store that is down is a reason to tell.
//! A verdict that was made without knowing the checks before overwrites none that is kept.
//!
//! The record of authority is read meanwhile too. What it says has no part in a verdict; it is told, and kept with the verdicts
//! for those who can't read the record.
//!
//! Control planes are looked at where that is wanted, for people who read the event. Whatever comes of it, verdicts are the
//! same: a region whose tables can't be listed may well serve them.

use crate::answer::{Grounds, HttpAnswer};
use crate::authority::{Known, Memory};
use crate::clock::{Clock, within};
use crate::verdict::{Hysteresis, Verdict};
use aws::authority::ReadAuthority;
use aws::health::{AnnounceHealth, HealthError, KeepVerdicts, Keeping, KeptText, ProbeRegion, ProbedService};
use contracts::{HealthChecker, HealthCheckerSettings, Region};
use events::Timestamp;
use events::authority::Standing;
use events::health::{Health, HealthCheckEvent, ProbeReport, RegionReport};
use futures::future::{join, join_all, join4};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The longest that keeping the verdicts and telling of them may take, at the same time.
/// With the longest `probe_timeout`, 20 s, and a second reading of the record of authority a check stays below the function's
/// 30 s.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that reading the verdict and the record of authority for an answer may take, and that a check reads the record
/// again. Route 53's checkers wait for two seconds (Route 53 developer guide, "How Amazon Route 53 determines whether a health
/// check is healthy", read 2026-11).
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a reading of the verdict or of the record of authority answers without being repeated, also one that failed or
/// found nothing: while something can't be read, not every answer waits for it. As long answers a verdict that was made in this
/// process.
const COPY_AGE: Duration = Duration::from_secs(5);

/// How long a verdict stays in the store after it has expired, for people who look.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Most bytes of an error in a report.
const MAX_ERROR_BYTES: usize = 300;

/// Checks regions and remembers.
pub struct Checker<P, K, A, R, C> {
    region: Region,
    probes: Vec<(Region, P)>,
    store: K,
    bus: A,
    record: R,
    clock: C,
    settings: HealthCheckerSettings,
    hysteresis: Hysteresis,
    /// Whether control planes are looked at too.
    lists: bool,
    /// What this process last made or read, and when.
    copies: Mutex<BTreeMap<Region, Remembered>>,
    /// The last time that the own verdict was read for an answer.
    last_reading: Mutex<Option<Reading>>,
    /// What this process knows of authority.
    authority: Mutex<Memory>,
}

#[derive(Clone)]
struct Remembered {
    verdict: Verdict,
    since: SystemTime,
    /// Whether the kept verdict before it was known, or that there is none.
    is_founded: bool,
}

/// An attempt to read the own verdict, with success or without.
#[derive(Clone)]
struct Reading {
    began: SystemTime,
    /// What was to be said after it.
    verdict: Option<Verdict>,
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

impl<P: ProbeRegion, K: KeepVerdicts, A: AnnounceHealth, R: ReadAuthority, C: Clock> Checker<P, K, A, R, C> {
    /// A checker of the regions in `config`, each through what `probes` makes for it.
    pub fn new(config: &HealthChecker, probes: impl Fn(&Region) -> P, store: K, bus: A, record: R, clock: C) -> Self {
        let HealthCheckerSettings { unhealthy_after, window, check_interval, verdict_expiry, .. } = config.settings;
        Self {
            region: config.region.clone(),
            probes: config.regions.iter().map(|region| (region.clone(), probes(region))).collect(),
            store,
            bus,
            record,
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
            last_reading: Mutex::default(),
            authority: Mutex::default(),
        }
    }

    /// Checks all regions once, keeps the verdicts and tells of them.
    ///
    /// It doesn't fail: what can't be kept or told is logged and counted, and a repeat would be the same check.
    pub async fn check(&self) -> HealthCheckEvent {
        let checked_at = self.clock.now();
        let observe = join_all(self.probes.iter().map(|(region, probes)| self.observe(region, probes)));
        let list = join_all(self.probes.iter().map(|(region, probes)| self.list(region, probes)));
        let load = join_all(self.probes.iter().map(|(region, _)| self.before(region)));
        let authority = self.read_authority(self.settings.probe_timeout);
        let (observed, listed, before, mut authority) = join4(observe, list, load, authority).await;
        self.learn(&before);
        // Whoever kept a verdict may have heard of a decision since the record was read. It's read again, as for an answer;
        // otherwise the next answers would take it for set back.
        if self.memory().is_behind() {
            authority = self.read_authority(READ_TIMEOUT).await.or(authority);
        }
        let newest = self.weigh(authority.as_ref());
        let mut regions = Vec::with_capacity(self.probes.len());
        let mut verdicts = Vec::with_capacity(self.probes.len());
        for ((((region, _), probes), control_planes), before) in
            self.probes.iter().zip(observed).zip(listed).zip(before)
        {
            let worst = probes.iter().map(|probe| probe.status).max().unwrap_or(Health::Healthy);
            let verdict = Verdict::after(before.verdict.as_ref(), worst, checked_at, self.hysteresis);
            let verdict = verdict.made_under(newest.clone());
            regions.push(RegionReport { region: region.clone(), verdict: verdict.health, probes, control_planes });
            verdicts.push((region, verdict, before));
        }
        let began = Timestamp::try_from(checked_at).unwrap_or(Timestamp::UNIX_EPOCH);
        let event = HealthCheckEvent::new(began, self.region.clone(), authority, regions);
        let keep = join_all(verdicts.into_iter().map(|(region, verdict, before)| self.keep(region, verdict, before)));
        join(keep, self.tell(&event)).await;
        event
    }

    /// What is to be said of the own region, by the last verdict and the record of authority, both from this process if they are
    /// fresh. It makes no check.
    pub(crate) async fn answer(&self) -> HttpAnswer {
        let began = self.clock.elapsed();
        let (verdict, ()) = join(self.own_verdict(), self.refresh_authority()).await;
        // Whoever made the verdict may have heard of a decision since the record was read. Then it's read again: as it is
        // consistent, it says as much now, unless it was set back.
        let learned = self.memory().learn(verdict.as_ref().and_then(Verdict::under).cloned());
        if learned && self.memory().is_behind() {
            let passed = self.clock.elapsed().saturating_sub(began);
            self.read_authority(READ_TIMEOUT.saturating_sub(passed)).await;
        }
        let memory = self.memory().clone();
        let now = self.clock.now();
        HttpAnswer::of(Grounds {
            region: &self.region,
            verdict: verdict.as_ref(),
            is_expired: verdict.as_ref().is_some_and(|verdict| verdict.is_expired(now, self.settings.verdict_expiry)),
            authority: memory.newest(),
            is_behind: memory.is_behind(),
            now,
        })
    }

    /// The verdict on the own region, from this process if it is fresh, else from the store. A store that doesn't answer
    /// makes nobody unhealthy: what this process knows is told until it expires.
    async fn own_verdict(&self) -> Option<Verdict> {
        let (now, copy) = (self.clock.now(), self.copy(&self.region));
        // A clock that was set back makes nothing younger.
        let is_fresh = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age <= COPY_AGE);
        if let Some(copy) = copy.as_ref().filter(|copy| is_fresh(copy.since)) {
            return Some(copy.verdict.clone());
        }
        if let Some(reading) = self.last_reading().filter(|reading| is_fresh(reading.began)) {
            return reading.verdict;
        }
        let verdict = match self.load(&self.region, READ_TIMEOUT).await {
            Ok(stored) => stored.and_then(|stored| stored.verdict).map(|stored| self.later(stored, copy)),
            Err(_) => copy.map(|copy| copy.verdict),
        };
        self.note_reading(Some(Reading { began: now, verdict: verdict.clone() }));
        verdict
    }

    /// The later of a stored verdict on the own region and the copy, which is later when it could not be kept. A copy that was
    /// made without knowing the stored verdict is worth less than that.
    fn later(&self, stored: Verdict, copy: Option<Remembered>) -> Verdict {
        match copy {
            Some(copy) if copy.is_founded && copy.verdict.checked_at() > stored.checked_at() => {
                copy.verdict.made_under(stored.under().cloned())
            }
            _ => {
                self.remember(&self.region, stored.clone(), true);
                stored
            }
        }
    }

    /// Reads the record of authority unless that was done just now.
    async fn refresh_authority(&self) {
        let is_fresh = self.memory().is_fresh(self.clock.now(), COPY_AGE);
        if !is_fresh {
            self.read_authority(READ_TIMEOUT).await;
        }
    }

    /// What the record of authority says; none when it can't be read in time. What is known already stays so.
    async fn read_authority(&self, limit: Duration) -> Option<Standing> {
        let began = self.clock.now();
        let read = within(&self.clock, limit, self.record.read()).await;
        let standing = read.as_ref().ok().map(|record| Standing::of(record.as_ref()));
        if let Err(error) = &read {
            telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["read_authority", error.class()]);
            tracing::error!(
                error = error as &dyn Error,
                "the record of authority could not be read; what is known counts"
            );
        }
        self.memory().note(began, standing.clone());
        standing
    }

    /// Takes over what the checks before knew of authority.
    fn learn(&self, before: &[Before]) {
        let mut memory = self.memory();
        for before in before {
            memory.learn(before.verdict.as_ref().and_then(Verdict::under).cloned());
        }
    }

    /// Compares what a check read with what is known; gives the newest.
    fn weigh(&self, read: Option<&Standing>) -> Option<Known> {
        if let Some(standing) = read {
            telemetry::REGION_AUTHORITY_EPOCH.set(&[owner(standing)], standing.epoch as f64);
        }
        let memory = self.memory();
        let newest = memory.newest().cloned();
        if memory.is_behind() {
            let (epoch, known) =
                (read.map(|standing| standing.epoch), newest.as_ref().map(|known| known.standing.epoch));
            tracing::error!(epoch, known, "the record of authority has a lower epoch than one that is known");
        }
        newest
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.authority.lock().unwrap_or_else(PoisonError::into_inner)
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
        let under = stored.as_ref().and_then(Verdict::under).cloned();
        let verdict = stored.into_iter().chain(copy).max_by_key(Verdict::checked_at);
        Before { verdict: verdict.map(|verdict| verdict.made_under(under)), seen, is_founded: true }
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
        if *region == self.region {
            self.note_reading(None);
        }
    }

    fn last_reading(&self) -> Option<Reading> {
        self.last_reading.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_reading(&self, reading: Option<Reading>) {
        *self.last_reading.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

/// The owner for metrics.
pub(crate) fn owner(standing: &Standing) -> &str {
    standing.owner.as_ref().map_or("none", Region::as_str)
}

/// The store's key of the verdict on a region.
fn key(region: &Region) -> String {
    format!("verdict#{region}")
}
