//! Long random runs with 200 instances, in which time passes and everything fails that can.
//!
//! Each instance is a future that waits before each call of a store or the peer. A scheduler with a seed chooses who goes
//! on, so a run is a function of its seed. An instance dies by being dropped.

use breaker::{
    Admission, CallError, EmptyCheck, EventKey, FollowUp, KeyDrain, KeyFlag, KeyStep, Outcome, Owner, ParkWrite,
    ParkedEvent, Position, ProbeResult, Ramp, Settings, Shared, Snapshot, Stamps, Step, Thresholds, Turn, Window,
};
use proptest::prelude::*;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::region::{Fault, Region, Sent};

const ROUTERS: usize = 140;
const DRAINS: usize = 60;
/// How long there are faults and new events, in milliseconds.
const TROUBLE: u64 = 300_000;
/// By when all must be drained.
const END: u64 = 900_000;

type Program = Pin<Box<dyn Future<Output = ()>>>;

/// One run of a router over what its shard holds.
async fn route(region: Rc<Region>, shard: usize) {
    let mut window = Window::new(region.settings().clone());
    let mut stamps = Stamps::new(region.random(u64::MAX));
    let mut snapshot: Option<Snapshot> = None;
    while let Some(event) = region.next_record(shard) {
        let read_at = region.monotonic();
        let current = match snapshot.take().filter(|snapshot| snapshot.is_fresh(read_at)) {
            Some(snapshot) => snapshot,
            None => match region.read().await {
                Ok(shared) => Snapshot { shared, read_at },
                Err(Fault) => return,
            },
        };
        let admission = match current.shared.admit() {
            Admission::CheckKey => match region.flag(&event.key).await {
                Ok(flag) => Admission::CheckKey.with_flag(flag.as_ref()),
                Err(Fault) => return,
            },
            admission => admission,
        };
        match admission {
            Admission::Park => {
                let all = current.shared.admit() == Admission::Park;
                let batch = if all { region.records(shard, 10) } else { vec![event] };
                let writes = ParkWrite::pack(batch, &mut stamps).expect("small events");
                for write in writes {
                    match region.park(&write).await.follow_up() {
                        FollowUp::Done => region.done(shard, write.events().len()),
                        FollowUp::ReadAgain => break,
                        FollowUp::GiveBack(_) => return,
                    }
                }
            }
            Admission::Send => match region.send(&event).await {
                Ok(()) => {
                    window.record(region.monotonic(), Outcome::Success);
                    region.done(shard, 1);
                    snapshot = Some(current);
                }
                Err(error) => failed(&region, &mut window, &current.shared, error).await,
            },
            Admission::CheckKey => unreachable!("the flag was read"),
        }
    }
}

async fn failed(region: &Region, window: &mut Window, shared: &Shared, error: CallError) {
    let outcome = Outcome::of_call(Err(error), Duration::ZERO, Duration::from_secs(1));
    let Some(trip) = window.record(region.monotonic(), outcome) else { return };
    if let Step::Write(write) = shared.trip(&trip, region.now(), region.jitter(), region.settings()) {
        // Whether it won, lost or went unanswered: the record is read again.
        let _ = region.write(&write).await;
        window.reset();
    }
}

/// One run of a drain.
async fn drain(region: Rc<Region>, owner: Owner) -> Result<(), Fault> {
    let shared = region.read().await?;
    match shared.turn(&owner, region.now(), region.settings()) {
        Turn::Rest | Turn::Wait(_) => Ok(()),
        Turn::Probe { write, lease } => {
            let Some(flag) = region.any_flag().await? else { return Ok(()) };
            if let Some(write) = write
                && !region.write(&write).await?
            {
                return Ok(());
            }
            let result = match KeyDrain::begin(flag.clone()).next(region.oldest(&flag.key).await?) {
                KeyStep::Clear(clear) => {
                    region.clear(&clear).await?;
                    ProbeResult::Inconclusive
                }
                KeyStep::Send(_) if !lease.is_live(region.now()) => return Ok(()),
                KeyStep::Send(event) => {
                    let _probe = region.probe(lease);
                    let sent = send_and_delete(&region, &event).await?;
                    if sent { ProbeResult::Success } else { ProbeResult::Failure }
                }
            };
            report(&region, &owner, result).await
        }
        Turn::Drain => drain_all(&region, &shared).await,
    }
}

async fn send_and_delete(region: &Region, event: &ParkedEvent) -> Sent {
    match region.send(event).await {
        Ok(()) => region.delete(&event.acknowledged()).await.map(|()| true),
        Err(_) => Ok(false),
    }
}

async fn report(region: &Region, owner: &Owner, result: ProbeResult) -> Result<(), Fault> {
    loop {
        let shared = region.read().await?;
        let step = shared.probe_ended(owner, result, region.now(), region.jitter(), region.settings());
        match step {
            Step::Keep => return Ok(()),
            Step::Write(write) if region.write(&write).await? => return Ok(()),
            Step::Write(_) => {}
        }
    }
}

async fn drain_all(region: &Region, shared: &Shared) -> Result<(), Fault> {
    let check = EmptyCheck::begin(shared);
    let mut ramp = Ramp::new(region.settings());
    let mut window = Window::new(region.settings().clone());
    loop {
        let flags = region.flags(ramp.allowance() as usize).await?;
        if flags.is_empty() {
            break;
        }
        for flag in flags {
            if !drain_one(region, shared, &mut window, flag).await? {
                ramp.failed();
                return Ok(());
            }
        }
        ramp.succeeded();
    }
    let items = region.items().await?;
    if let Some(Step::Write(write)) = check.map(|check| check.end(items)) {
        region.write(&write).await?;
    }
    Ok(())
}

async fn drain_one(region: &Region, shared: &Shared, window: &mut Window, flag: KeyFlag) -> Sent {
    let oldest = region.oldest(&flag.key).await?;
    match KeyDrain::begin(flag).next(oldest) {
        KeyStep::Clear(clear) => region.clear(&clear).await.map(|()| true),
        KeyStep::Send(event) => {
            let sent = send_and_delete(region, &event).await?;
            if !sent {
                failed(region, window, shared, CallError::Timeout).await;
            }
            Ok(sent)
        }
    }
}

fn start(region: &Rc<Region>, instance: usize) -> Program {
    let region = region.clone();
    if instance < ROUTERS {
        return Box::pin(route(region, instance));
    }
    let owner = Owner(format!("run-{}", region.random(u64::MAX)).into());
    Box::pin(async move {
        // Whatever a drain can't do, the next one does.
        let _ = drain(region, owner).await;
    })
}

fn event(shard: usize, key: u64, number: usize) -> ParkedEvent {
    let now = breaker::Millis(0);
    ParkedEvent {
        key: EventKey(format!("{shard}-{key}").into()),
        position: Position::new(&number.to_string()).expect("digits"),
        event_id: number.to_string().into(),
        original_at: now,
        parked_at: now,
        attempts: 0,
        episode: 0,
        body: Vec::new().into(),
    }
}

/// Runs a region to its end, and gives its breaker's last record.
fn run(seed: u64, probes: u32) -> Result<Shared, TestCaseError> {
    let seconds = Duration::from_secs;
    let short = Thresholds { open: seconds(1), open_max: seconds(8), probe_lease: seconds(2), ..Thresholds::default() };
    let thresholds = Thresholds { probes, ..short };
    let region = Rc::new(Region::new(seed, Settings::new(thresholds).expect("valid")));
    for shard in 0..ROUTERS {
        let mut records: Vec<u64> = (0..60).map(|_| region.random(TROUBLE)).collect();
        records.sort_unstable();
        let events = records.into_iter().enumerate();
        region.fill(shard, events.map(|(number, at)| (at, event(shard, region.random(3), number))).collect());
    }
    let mut programs: Vec<Program> = (0..ROUTERS + DRAINS).map(|instance| start(&region, instance)).collect();
    while !region.is_finished() {
        prop_assert!(region.now().0 < END, "not drained by the end: {:?}", region.read_now());
        let trouble = region.now().0 < TROUBLE;
        region.pass(trouble);
        let instance = usize::try_from(region.random(programs.len() as u64)).expect("small");
        let polled = programs[instance].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let dies = trouble && region.random(2_000) == 0;
        if polled == Poll::Ready(()) || dies {
            if instance < ROUTERS {
                region.redeliver(instance, dies);
            }
            programs[instance] = start(&region, instance);
        }
        if let Some(wrong) = region.wrong() {
            return Err(TestCaseError::fail(wrong));
        }
    }
    Ok(region.read_now())
}

#[test]
fn two_hundred_instances_keep_the_rules() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(16)
    });
    let result = runner.run(&(any::<u64>(), 1_u32..=2), |(seed, probes)| run(seed, probes).map(drop));
    result.expect("the rules are kept");
}

/// The runs would mean nothing if the breaker stayed closed.
#[test]
fn a_run_is_full_of_trouble() {
    let shared = run(1, 1).expect("the rules are kept");
    println!("{} episodes, {} versions of the record, {} parks", shared.episode, shared.version, shared.parks);
    assert!(shared.episode > 3 && shared.parks > 500, "{shared:?}");
}
