//! The part of Lambda's Runtime API that a function uses, for one process, with a clock.
//!
//! All times are taken in the thread that serves the process's connection, so no hand-over between threads lies in them:
//! a round trip is from just before an event is written until the whole answer was read. When there is no event left, the
//! request for the next one waits, as Lambda's does.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http::{Connection, Message};

/// How far an event's deadline lies ahead.
const TIME_LEFT: Duration = Duration::from_secs(60);

/// Most bytes of an answer that are kept to be shown.
const SHOWN_BYTES: usize = 500;

const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n";

/// A Runtime API for one process.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    milestones: Receiver<Milestone>,
}

/// What a process did.
#[derive(Debug)]
pub enum Milestone {
    /// It asked for its first event.
    Ready(Instant),
    /// It answered all events that were handed out and asked for another.
    Done(Lap),
    /// It gave up before its first event; its own words.
    InitError(String),
    /// It answered otherwise than expected; the answer.
    WrongAnswer(String),
}

/// The events of one [`RuntimeApi::hand_out`].
#[derive(Debug, Default)]
pub struct Lap {
    /// From handing out an event to having read its answer, in order.
    pub round_trips: Vec<Duration>,
    /// From the first event to the request for one more than there was.
    pub wall: Duration,
}

#[derive(Debug)]
struct Shared {
    events: Arc<[Vec<u8>]>,
    /// What every answer holds.
    expected: &'static str,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    remaining: usize,
    number: usize,
    sent_at: Option<Instant>,
    lap_started: Option<Instant>,
    lap: Lap,
}

impl RuntimeApi {
    /// Serves `events` in turn, each of which is to be answered with something that holds `expected`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(events: Arc<[Vec<u8>]>, expected: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { events, expected, state: Mutex::default(), more: Condvar::new() });
        let (sender, milestones) = channel();
        let served = Arc::clone(&shared);
        // The thread ends with the benchmark: there is nothing in it to be waited for.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, sender) = (Arc::clone(&served), sender.clone());
                thread::spawn(move || {
                    Connection::new(stream).and_then(|connection| serve(connection, &shared, &sender))
                });
            }
        });
        Ok(Self { address, shared, milestones })
    }

    /// Where it listens; the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the process have `count` events more.
    pub fn hand_out(&self, count: usize) {
        let mut state = self.shared.state();
        state.remaining = count;
        state.lap = Lap { round_trips: Vec::with_capacity(count), wall: Duration::ZERO };
        state.lap_started = None;
        drop(state);
        self.shared.more.notify_one();
    }

    /// What the process does next, or nothing within `limit`.
    pub fn wait(&self, limit: Duration) -> Option<Milestone> {
        self.milestones.recv_timeout(limit).ok()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection until the process or the benchmark is gone.
fn serve(mut connection: Connection, shared: &Shared, milestones: &Sender<Milestone>) -> io::Result<()> {
    while let Some(request) = connection.read()? {
        let now = Instant::now();
        if request.path().ends_with("/runtime/invocation/next") {
            send_next(&mut connection, shared, milestones, now)?;
        } else if request.path().contains("/runtime/invocation/") {
            take_answer(&request, shared, milestones, now);
            connection.send(ACCEPTED, b"{\"status\":\"OK\"}")?;
        } else {
            // A benchmark that is over doesn't listen any more.
            let _ = milestones.send(Milestone::InitError(shown(&request.body)));
            connection.send(ACCEPTED, b"{\"status\":\"OK\"}")?;
        }
    }
    Ok(())
}

fn send_next(
    connection: &mut Connection,
    shared: &Shared,
    milestones: &Sender<Milestone>,
    now: Instant,
) -> io::Result<()> {
    let mut state = shared.state();
    if !state.is_ready {
        state.is_ready = true;
        let _ = milestones.send(Milestone::Ready(now));
    } else if state.remaining == 0 {
        let mut lap = std::mem::take(&mut state.lap);
        lap.wall = state.lap_started.map_or(Duration::ZERO, |started| now - started);
        let _ = milestones.send(Milestone::Done(lap));
    }
    while state.remaining == 0 {
        state = shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.remaining -= 1;
    state.number += 1;
    let event = &shared.events[state.number % shared.events.len()];
    let head = head_of(state.number);
    let started = Instant::now();
    state.lap_started.get_or_insert(started);
    state.sent_at = Some(started);
    drop(state);
    connection.send(&head, event)
}

fn take_answer(request: &Message, shared: &Shared, milestones: &Sender<Milestone>, now: Instant) {
    let mut state = shared.state();
    if let Some(sent_at) = state.sent_at.take() {
        state.lap.round_trips.push(now - sent_at);
    }
    let expected = shared.expected.as_bytes();
    let is_expected = request.body.windows(expected.len()).any(|window| window == expected);
    if request.path().ends_with("/error") || !is_expected {
        let _ = milestones.send(Milestone::WrongAnswer(shown(&request.body)));
    }
}

/// The head of an event as Lambda sends it, with a request id of its own.
fn head_of(number: usize) -> String {
    let deadline = (SystemTime::now() + TIME_LEFT).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: application/json\r\n\
         Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-{number:012x}\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-west-2:000000000000:function:tandem-bench\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n"
    )
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]).into_owned()
}
