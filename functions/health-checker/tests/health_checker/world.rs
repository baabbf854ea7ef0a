//! Regions that behave as a test says.

use crate::virtual_time::VirtualTime;
use aws::authority::{AuthorityError, ReadAuthority};
use aws::health::{AnnounceHealth, HealthError, KeepVerdicts, Keeping, KeptText, ProbeRegion, ProbedService};
use contracts::{HealthChecker, Region};
use events::Timestamp;
use events::authority::{Authority, Scope};
use health_checker::checker::Checker;
use health_checker::{Handler, Response};
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

pub(crate) const OWN: &str = "us-west-2";
pub(crate) const PEER: &str = "us-east-1";
/// A region that is only checked where a test says so.
pub(crate) const THIRD: &str = "eu-west-1";

/// What something does when it's used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Answers after so many milliseconds, all in one call.
    Takes(u64),
    /// Answers after so many calls of so many milliseconds each.
    TakesTimes(u64, u64),
    /// Fails after so many milliseconds.
    FailsAfter(u64),
    /// Never answers.
    Hangs,
}

impl Behaviour {
    /// Gives the time of the slowest call.
    async fn happen(self, time: VirtualTime) -> Result<Duration, HealthError> {
        let wait = |millis| time.wait(Duration::from_millis(millis));
        match self {
            Self::Takes(millis) => {
                wait(millis).await;
                Ok(Duration::from_millis(millis))
            }
            Self::TakesTimes(calls, millis) => {
                wait(calls * millis).await;
                Ok(Duration::from_millis(millis))
            }
            Self::FailsAfter(millis) => {
                wait(millis).await;
                Err(HealthError::Failed { code: "InternalFailure".to_owned(), message: "told to fail".to_owned() })
            }
            Self::Hangs => std::future::pending().await,
        }
    }
}

/// A region's services.
#[derive(Clone)]
pub(crate) struct FakeRegion {
    time: VirtualTime,
    services: Arc<Mutex<BTreeMap<ProbedService, Behaviour>>>,
    control_planes: Arc<Mutex<Behaviour>>,
    /// How often anything in the region was called.
    calls: Arc<Mutex<usize>>,
}

impl ProbeRegion for FakeRegion {
    async fn list(&self, _: ProbedService) -> Result<Duration, HealthError> {
        *self.calls.lock().expect("not poisoned") += 1;
        let behaviour = *self.control_planes.lock().expect("not poisoned");
        behaviour.happen(self.time.clone()).await
    }

    async fn probe(&self, service: ProbedService) -> Result<Duration, HealthError> {
        *self.calls.lock().expect("not poisoned") += 1;
        let behaviour = self.services.lock().expect("not poisoned")[&service];
        behaviour.happen(self.time.clone()).await
    }
}

/// The own region's table of verdicts.
#[derive(Clone)]
pub(crate) struct FakeStore {
    time: VirtualTime,
    behaviour: Arc<Mutex<Behaviour>>,
    kept: Arc<Mutex<BTreeMap<String, (KeptText, SystemTime)>>>,
    loads: Arc<Mutex<usize>>,
    /// So many loads fail next.
    failing_loads: Arc<Mutex<usize>>,
}

impl KeepVerdicts for FakeStore {
    async fn load(&self, key: &str) -> Result<Option<KeptText>, HealthError> {
        *self.loads.lock().expect("not poisoned") += 1;
        let fails = {
            let mut failing = self.failing_loads.lock().expect("not poisoned");
            let fails = *failing > 0;
            *failing = failing.saturating_sub(1);
            fails
        };
        let behaviour = *self.behaviour.lock().expect("not poisoned");
        let behaviour = if fails { Behaviour::FailsAfter(10) } else { behaviour };
        behaviour.happen(self.time.clone()).await?;
        Ok(self.kept.lock().expect("not poisoned").get(key).map(|(kept, _)| kept.clone()))
    }

    async fn keep(
        &self,
        key: &str,
        new: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> Result<Keeping, HealthError> {
        let behaviour = *self.behaviour.lock().expect("not poisoned");
        behaviour.happen(self.time.clone()).await?;
        let mut kept = self.kept.lock().expect("not poisoned");
        if kept.get(key).is_some_and(|(kept, _)| kept.stamp != new.stamp && Some(kept.stamp) != seen) {
            return Ok(Keeping::Overtaken);
        }
        kept.insert(key.to_owned(), (new.clone(), expires_at));
        Ok(Keeping::Kept)
    }
}

/// The own region's bus.
#[derive(Clone)]
pub(crate) struct FakeBus {
    time: VirtualTime,
    behaviour: Arc<Mutex<Behaviour>>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl AnnounceHealth for FakeBus {
    async fn announce(&self, detail: &str) -> Result<(), HealthError> {
        let behaviour = *self.behaviour.lock().expect("not poisoned");
        behaviour.happen(self.time.clone()).await?;
        self.told.lock().expect("not poisoned").push(serde_json::from_str(detail).expect("JSON"));
        Ok(())
    }
}

/// The record of authority, as the own region reads it.
#[derive(Clone)]
pub(crate) struct FakeRecord {
    time: VirtualTime,
    behaviour: Arc<Mutex<Behaviour>>,
    record: Arc<Mutex<Option<Authority>>>,
    /// What the next reading gives instead.
    outdated: Arc<Mutex<Option<Authority>>>,
    reads: Arc<Mutex<usize>>,
}

impl ReadAuthority for FakeRecord {
    async fn read(&self) -> Result<Option<Authority>, AuthorityError> {
        *self.reads.lock().expect("not poisoned") += 1;
        let outdated = self.outdated.lock().expect("not poisoned").take();
        let behaviour = *self.behaviour.lock().expect("not poisoned");
        let behaviour = if outdated.is_some() { Behaviour::Takes(20) } else { behaviour };
        behaviour.happen(self.time.clone()).await.map_err(|error| AuthorityError::Unavailable {
            code: "InternalServerError".to_owned(),
            message: error.to_string(),
        })?;
        Ok(outdated.or_else(|| self.record.lock().expect("not poisoned").clone()))
    }
}

/// Regions, of which two are checked, and what belongs to the own one.
pub(crate) struct World {
    pub(crate) time: VirtualTime,
    regions: BTreeMap<&'static str, FakeRegion>,
    store: FakeStore,
    bus: FakeBus,
    record: FakeRecord,
}

/// The function in one process.
pub(crate) type Process = Handler<FakeRegion, FakeStore, FakeBus, FakeRecord, VirtualTime>;

impl World {
    /// Everything answers after 20 ms, and nothing has been decided yet.
    pub(crate) fn new() -> Self {
        let time = VirtualTime::default();
        let well = Behaviour::Takes(20);
        let region = || {
            let services = ProbedService::ALL.into_iter().map(|service| (service, well)).collect();
            FakeRegion {
                time: time.clone(),
                services: Arc::new(Mutex::new(services)),
                control_planes: Arc::new(Mutex::new(well)),
                calls: Arc::default(),
            }
        };
        let behaviour = || Arc::new(Mutex::new(well));
        Self {
            regions: [(OWN, region()), (PEER, region()), (THIRD, region())].into(),
            store: FakeStore {
                time: time.clone(),
                behaviour: behaviour(),
                kept: Arc::default(),
                loads: Arc::default(),
                failing_loads: Arc::default(),
            },
            bus: FakeBus { time: time.clone(), behaviour: behaviour(), told: Arc::default() },
            record: FakeRecord {
                time: time.clone(),
                behaviour: behaviour(),
                record: Arc::default(),
                outdated: Arc::default(),
                reads: Arc::default(),
            },
            time,
        }
    }

    /// From now on a service of a region does this.
    pub(crate) fn set(&self, region: &str, service: ProbedService, behaviour: Behaviour) {
        self.regions[region].services.lock().expect("not poisoned").insert(service, behaviour);
    }

    /// From now on all services of a region do this.
    pub(crate) fn set_all(&self, region: &str, behaviour: Behaviour) {
        ProbedService::ALL.into_iter().for_each(|service| self.set(region, service, behaviour));
    }

    /// From now on the control planes of a region do this.
    pub(crate) fn set_control_planes(&self, region: &str, behaviour: Behaviour) {
        *self.regions[region].control_planes.lock().expect("not poisoned") = behaviour;
    }

    /// How often anything in a region was called, its store and bus aside.
    pub(crate) fn calls(&self, region: &str) -> usize {
        *self.regions[region].calls.lock().expect("not poisoned")
    }

    pub(crate) fn set_store(&self, behaviour: Behaviour) {
        *self.store.behaviour.lock().expect("not poisoned") = behaviour;
    }

    /// The next `loads` readings of the store fail.
    pub(crate) fn fail_loads(&self, loads: usize) {
        *self.store.failing_loads.lock().expect("not poisoned") = loads;
    }

    pub(crate) fn set_bus(&self, behaviour: Behaviour) {
        *self.bus.behaviour.lock().expect("not poisoned") = behaviour;
    }

    pub(crate) fn set_record(&self, behaviour: Behaviour) {
        *self.record.behaviour.lock().expect("not poisoned") = behaviour;
    }

    /// Decides: from now on the record has this epoch, the own region owns everything, and the regions in `withdrawn` get no
    /// traffic.
    pub(crate) fn decide(&self, epoch: u64, withdrawn: &[&str]) {
        *self.record.record.lock().expect("not poisoned") = Some(record(epoch, withdrawn));
    }

    /// The same, with another owner.
    pub(crate) fn hand_over(&self, epoch: u64, owner: &str) {
        self.decide(epoch, &[]);
        let mut record = self.record.record.lock().expect("not poisoned");
        record.as_mut().expect("just decided").owner = Region::new(owner).expect("a region");
    }

    /// The next reading gives a record with this epoch that withdraws nobody, as one does that began before a decision. It
    /// succeeds whatever the later ones do.
    pub(crate) fn outdate_next_read(&self, epoch: u64) {
        *self.record.outdated.lock().expect("not poisoned") = Some(record(epoch, &[]));
    }

    /// Takes the record away.
    pub(crate) fn lose_record(&self) {
        *self.record.record.lock().expect("not poisoned") = None;
    }

    /// How often the record was read.
    pub(crate) fn record_reads(&self) -> usize {
        *self.record.reads.lock().expect("not poisoned")
    }

    /// A new process of the function, which remembers nothing.
    pub(crate) fn process(&self) -> Process {
        self.process_with(&[])
    }

    pub(crate) fn process_with(&self, changes: &[(&str, &str)]) -> Process {
        let lookup = |variable: &str| {
            let changed = changes.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned());
            changed.or_else(|| match variable {
                "AWS_REGION" => Some(OWN.to_owned()),
                "CHECKED_REGIONS" => Some(format!("{OWN},{PEER}")),
                "HEALTH_TABLE" => Some("tandem-test-health".to_owned()),
                "AUTHORITY_TABLE" => Some("tandem-test-authority".to_owned()),
                "EVENT_BUS_NAME" => Some("tandem-test-events".to_owned()),
                "CANARY_QUEUE_NAME" => Some("tandem-test-canaries".to_owned()),
                "CONTROL_PLANES" => Some("ignored".to_owned()),
                _ => None,
            })
        };
        let config = HealthChecker::from_lookup(lookup).expect("a configuration");
        let probes = |region: &Region| self.regions[region.as_str()].clone();
        let (store, bus, record) = (self.store.clone(), self.bus.clone(), self.record.clone());
        Handler::new(Checker::new(&config, probes, store, bus, record, self.time.clone()))
    }

    /// Runs a check in `process`; gives the outcome and how long it took.
    pub(crate) fn check(&self, process: &Process) -> (Value, Duration) {
        let before = health_checker::clock::Clock::elapsed(&self.time);
        let outcome = self.invoke(process, json!({}), &mut Vec::new());
        let took = health_checker::clock::Clock::elapsed(&self.time) - before;
        (outcome, took)
    }

    /// The same, a minute later.
    pub(crate) fn check_a_minute_later(&self, process: &Process) -> (Value, Duration) {
        self.time.pass(Duration::from_secs(60));
        self.check(process)
    }

    /// The verdicts of a check in a new process, own region and peer, a minute after the last.
    pub(crate) fn verdicts_a_minute_later(&self) -> (String, String) {
        let (outcome, _) = self.check_a_minute_later(&self.process());
        let verdict = |index: usize| outcome["regions"][index]["verdict"].as_str().expect("a verdict").to_owned();
        (verdict(0), verdict(1))
    }

    /// The same in a new process, its outcome alone.
    pub(crate) fn check_anew(&self) -> Value {
        self.check_a_minute_later(&self.process()).0
    }

    /// Asks the health endpoint in `process`, and how long that took; gives status code and body too.
    pub(crate) fn ask_timed(&self, process: &Process) -> (u64, Value, Duration) {
        let before = health_checker::clock::Clock::elapsed(&self.time);
        let (code, body) = self.ask(process);
        (code, body, health_checker::clock::Clock::elapsed(&self.time) - before)
    }

    /// Asks the health endpoint in `process`; gives the status code and the body.
    pub(crate) fn ask(&self, process: &Process) -> (u64, Value) {
        let answer = self.invoke(process, http_request(), &mut Vec::new());
        let body = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
        assert_eq!(answer["headers"], json!({ "content-type": "application/json", "cache-control": "no-store" }));
        (answer["statusCode"].as_u64().expect("a number"), body)
    }

    /// Hands over an event; gives the response as JSON.
    pub(crate) fn invoke(&self, process: &Process, event: Value, metrics: &mut Vec<u8>) -> Value {
        let mut context = Context::default();
        let function_name = "tandem-test-health-checker".to_owned();
        context.env_config = Arc::new(Config { function_name, ..Config::default() });
        let response: Response = self.time.run(process.handle(LambdaEvent::new(event, context), metrics));
        serde_json::to_value(response).expect("JSON")
    }

    /// What was told on the bus.
    pub(crate) fn told(&self) -> Vec<Value> {
        self.bus.told.lock().expect("not poisoned").clone()
    }

    /// What is kept under a key, and until when.
    pub(crate) fn kept(&self, key: &str) -> Option<(String, SystemTime)> {
        let kept = self.store.kept.lock().expect("not poisoned").get(key).cloned();
        kept.map(|(kept, expires_at)| (kept.text, expires_at))
    }

    /// Puts a text into the store.
    pub(crate) fn put(&self, key: &str, text: &str) {
        let entry = (KeptText { text: text.to_owned(), stamp: 0 }, SystemTime::UNIX_EPOCH);
        self.store.kept.lock().expect("not poisoned").insert(key.to_owned(), entry);
    }

    /// Takes what is kept under a key out of the store.
    pub(crate) fn remove(&self, key: &str) {
        self.store.kept.lock().expect("not poisoned").remove(key);
    }

    /// How often the store was read.
    pub(crate) fn loads(&self) -> usize {
        *self.store.loads.lock().expect("not poisoned")
    }
}

/// The record of authority with this epoch: the own region owns everything.
fn record(epoch: u64, withdrawn: &[&str]) -> Authority {
    let region = |name: &str| Region::new(name).expect("a region");
    let epoch = NonZeroU64::new(epoch).expect("from 1");
    Authority {
        scope: Scope::all(),
        owner: region(OWN),
        epoch,
        lease_until: None,
        withdrawn: withdrawn.iter().map(|name| (region(name), epoch)).collect(),
        changed_at: Timestamp::UNIX_EPOCH,
        changed_by: "ada".to_owned(),
    }
}

/// A request to the health endpoint, as API Gateway hands it over.
pub(crate) fn http_request() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "GET /health",
        "rawPath": "/health",
        "headers": { "accept": "*/*" },
        "requestContext": { "http": { "method": "GET", "path": "/health" }, "stage": "$default" },
        "isBase64Encoded": false,
    })
}
