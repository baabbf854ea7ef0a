//! A clock that goes on when everybody waits for it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use consumer::clock::Clock;
use events::Timestamp;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// Turns that everybody gets before the clock goes on. A chain of tasks that wake each other is shorter.
const TURNS: usize = 200;

thread_local! {
    // A test's runtime has one thread, and each test its own.
    static CLOCK: OnceCell<Arc<Virtual>> = const { OnceCell::new() };
}

#[derive(Debug)]
struct Virtual {
    base: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    elapsed: Duration,
    /// By when they are due, then by their number.
    timers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    next: u64,
}

/// Starts the clock of this test, and whatever makes it go on.
pub(crate) fn start() {
    let clock = Arc::new(Virtual { base: Instant::now(), state: Mutex::default() });
    CLOCK.with(|cell| cell.set(Arc::clone(&clock)).expect("once"));
    tokio::spawn(async move {
        loop {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            clock.go_on();
        }
    });
}

/// The clock of this test.
pub(crate) fn clock() -> Arc<dyn Clock> {
    current()
}

fn current() -> Arc<Virtual> {
    CLOCK.with(|cell| Arc::clone(cell.get().expect("the clock was started")))
}

/// How much time has passed.
pub(crate) fn elapsed() -> Duration {
    current().state.lock().expect("no panic").elapsed
}

/// When the clock was started.
pub(crate) fn start_of_time() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().expect("a time")
}

/// The time of day.
pub(crate) fn time_of_day() -> Timestamp {
    start_of_time() + elapsed()
}

/// Waits.
pub(crate) async fn sleep(wait: Duration) {
    current().sleep(wait).await;
}

impl Virtual {
    /// Goes on to the first moment that somebody still waits for.
    fn go_on(&self) {
        let mut state = self.state.lock().expect("no panic");
        while let Some(((due, _), waiting)) = state.timers.pop_first() {
            if !waiting.is_closed() {
                state.elapsed = state.elapsed.max(due);
                let _ = waiting.send(());
                return;
            }
        }
    }
}

impl Clock for Virtual {
    fn now(&self) -> Instant {
        self.base + self.state.lock().expect("no panic").elapsed
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut state = self.state.lock().expect("no panic");
        let due = (state.elapsed + wait, state.next);
        state.next += 1;
        state.timers.insert(due, wake);
        woken.map(|_| ()).boxed()
    }
}
