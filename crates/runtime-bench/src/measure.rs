//! The measurements of one program: starts, a run of events, and several programs at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::process::{Process, Program};
use crate::runtime_api::{Lap, Milestone, RuntimeApi};

/// The longest that a program may take for its start or for all events of one lap.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program with its events.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What is started.
    pub program: Program,
    /// Events, handed out in turn.
    pub events: Arc<[Vec<u8>]>,
    /// What each answer holds.
    pub expected: &'static str,
}

/// A run of events through one process.
#[derive(Debug)]
pub struct Run {
    /// From handing out an event to having read its answer.
    pub round_trips: Vec<Duration>,
    /// From the first event to the request for one more.
    pub wall: Duration,
    /// Processor time of the process meanwhile.
    pub processor_time: Duration,
    /// Resident memory when it asked for its first event, in KiB.
    pub resident_at_start_kib: u64,
    /// Resident memory after the last event, in KiB.
    pub resident_after_kib: u64,
}

/// A started program that has asked for its first event.
struct Ready {
    process: Process,
    runtime_api: RuntimeApi,
    took: Duration,
}

/// Starts the program `count` times; gives how long each took from its start to the request for its first event.
///
/// # Errors
/// When it doesn't start.
pub fn starts(subject: &Subject, count: usize) -> Result<Vec<Duration>, Error> {
    (0..count).map(|_| ready(subject).map(|ready| ready.took)).collect()
}

/// Hands out `invocations` events one after the other, after `warm_up` that don't count.
///
/// # Errors
/// When the program doesn't start, stops answering or answers otherwise than expected.
pub fn run(subject: &Subject, warm_up: usize, invocations: usize) -> Result<Run, Error> {
    let mut ready = ready(subject)?;
    let resident_at_start_kib = ready.process.resident_kib()?;
    lap(subject, &mut ready, warm_up)?;
    let before = ready.process.processor_time()?;
    let Lap { round_trips, wall } = lap(subject, &mut ready, invocations)?;
    let processor_time = ready.process.processor_time()?.saturating_sub(before);
    let resident_after_kib = ready.process.resident_kib()?;
    Ok(Run { round_trips, wall, processor_time, resident_at_start_kib, resident_after_kib })
}

/// Hands out `invocations` events each to a process of each subject at the same time; gives events per second of all
/// together.
///
/// # Errors
/// When a program doesn't start, stops answering or answers otherwise than expected.
pub fn side_by_side(subjects: &[Subject], warm_up: usize, invocations: usize) -> Result<f64, Error> {
    let mut all = subjects.iter().map(ready).collect::<Result<Vec<Ready>, Error>>()?;
    for (subject, ready) in subjects.iter().zip(&mut all) {
        lap(subject, ready, warm_up)?;
    }
    let started = Instant::now();
    all.iter().for_each(|ready| ready.runtime_api.hand_out(invocations));
    for (subject, ready) in subjects.iter().zip(&mut all) {
        done(subject, ready)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let events = (subjects.len() * invocations) as f64;
    Ok(events / started.elapsed().as_secs_f64())
}

fn ready(subject: &Subject) -> Result<Ready, Error> {
    let runtime_api = RuntimeApi::start(Arc::clone(&subject.events), subject.expected)
        .map_err(Error::machine("open a port for the Runtime API"))?;
    let mut process = Process::start(&subject.program, &runtime_api.address().to_string())?;
    match runtime_api.wait(PATIENCE) {
        Some(Milestone::Ready(at)) => {
            let took = at.saturating_duration_since(process.started());
            Ok(Ready { process, runtime_api, took })
        }
        other => Err(unexpected(subject, &mut process, other)),
    }
}

fn lap(subject: &Subject, ready: &mut Ready, count: usize) -> Result<Lap, Error> {
    ready.runtime_api.hand_out(count);
    done(subject, ready)
}

fn done(subject: &Subject, ready: &mut Ready) -> Result<Lap, Error> {
    match ready.runtime_api.wait(PATIENCE) {
        Some(Milestone::Done(lap)) => Ok(lap),
        other => Err(unexpected(subject, &mut ready.process, other)),
    }
}

fn unexpected(subject: &Subject, process: &mut Process, milestone: Option<Milestone>) -> Error {
    let program = subject.program.path.clone();
    let what = match milestone {
        Some(Milestone::WrongAnswer(answer)) => {
            return Error::WrongAnswer { program, expected: subject.expected, answer };
        }
        Some(Milestone::InitError(text)) => format!("gave up at its start: {text}"),
        Some(Milestone::Ready(_) | Milestone::Done(_)) => "asked for an event twice".to_owned(),
        None => process.ending().unwrap_or_else(|| format!("asked for nothing within {} s", PATIENCE.as_secs())),
    };
    Error::Silent { program, what }
}
