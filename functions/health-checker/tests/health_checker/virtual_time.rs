//! Time that passes only when everything waits, and then at once.
//!
//! The async runtime has such a clock too, behind a feature that would build it and all above it a second time.

use health_checker::clock::Clock;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that [`VirtualTime::run`] moves. Clones are the same clock.
#[derive(Clone, Default)]
pub(crate) struct VirtualTime(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    elapsed: Duration,
    /// When somebody wants to go on.
    deadlines: Vec<Duration>,
}

impl VirtualTime {
    /// Runs `work` to its end, from one deadline to the next.
    ///
    /// # Panics
    /// When `work` waits for something else than this clock.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            let mut state = self.state();
            let elapsed = state.elapsed;
            state.deadlines.retain(|deadline| *deadline > elapsed);
            state.elapsed = *state.deadlines.iter().min().expect("somebody waits for this clock");
        }
    }

    /// Lets `duration` pass.
    pub(crate) fn pass(&self, duration: Duration) {
        self.state().elapsed += duration;
    }

    /// Waits, for services that take their time.
    pub(crate) fn wait(&self, duration: Duration) -> Wait {
        let deadline = self.state().elapsed + duration;
        Wait { time: self.clone(), deadline }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }
}

/// Ready at its deadline.
pub(crate) struct Wait {
    time: VirtualTime,
    deadline: Duration,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let mut state = self.time.state();
        if state.elapsed >= self.deadline {
            return Poll::Ready(());
        }
        // Everything is polled after each step, so nobody needs to be woken.
        state.deadlines.push(self.deadline);
        Poll::Pending
    }
}

impl Clock for VirtualTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.wait(duration)
    }
}
