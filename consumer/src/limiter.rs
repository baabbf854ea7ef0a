//! How many writes may be under way at once, as the table lets it.
//!
//! The limit rises by one for as many successes as it lets through at once, and falls by a third when the table has too much to do
//! (additive increase, multiplicative decrease), so that all consumers of a table find their share of what it can take.
//! What is no sign of overload (a lost connection, a conflict on one row, a request that was never sent) doesn't change it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that were under way when the limit fell know nothing of the new one, so it falls at most once in this time.
const REST: Duration = Duration::from_millis(100);
/// What remains of the limit when it falls.
const FALL: f64 = 0.7;

/// A number of permits between one and a most, which follows what becomes of the requests.
#[derive(Debug)]
pub struct Limiter {
    permits: Semaphore,
    most: u16,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Invariant: between 1 and `most`.
    limit: f64,
    /// Permits that exist, lent or not. Above the limit until enough of those that are lent have come back.
    permits: usize,
    fell: Option<Instant>,
}

/// The right to one request.
#[derive(Debug)]
pub struct Permit<'l> {
    limiter: &'l Limiter,
    permit: SemaphorePermit<'l>,
}

impl Limiter {
    /// A limiter that begins with `most`, at least 1.
    pub fn new(most: u16) -> Self {
        let most = most.max(1);
        let limiter = Self {
            permits: Semaphore::new(usize::from(most)),
            most,
            state: Mutex::new(State { limit: f64::from(most), permits: usize::from(most), fell: None }),
        };
        limiter.show(f64::from(most));
        limiter
    }

    /// How many requests may be under way.
    pub fn limit(&self) -> usize {
        whole(self.state.lock().unwrap_or_else(PoisonError::into_inner).limit)
    }

    /// Waits for a turn.
    pub async fn acquire(&self) -> Permit<'_> {
        let permit = self.permits.acquire().await.expect("invariant: the semaphore is never closed");
        Permit { limiter: self, permit }
    }

    /// Takes a turn if there is one now.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let permit = self.permits.try_acquire().ok()?;
        Some(Permit { limiter: self, permit })
    }

    fn settle(&self, permit: SemaphorePermit<'_>, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.limit;
        change(&mut state);
        state.limit = state.limit.clamp(1.0, f64::from(self.most));
        let wanted = whole(state.limit);
        if state.permits > wanted {
            state.permits -= 1;
            permit.forget();
            // Those that are lent follow when they come back.
            state.permits -= self.permits.forget_permits(state.permits - wanted);
        } else {
            self.permits.add_permits(wanted - state.permits);
            state.permits = wanted;
            drop(permit);
        }
        if whole(before) != wanted {
            self.show(state.limit.floor());
        }
    }

    fn show(&self, limit: f64) {
        telemetry::DYNAMODB_WRITE_LIMIT.set(&[], limit);
    }
}

impl Permit<'_> {
    /// The request was answered.
    pub fn succeeded(self) {
        self.limiter.settle(self.permit, |state| state.limit += 1.0 / state.limit);
    }

    /// The table had too much to do.
    pub fn overloaded(self, now: Instant) {
        self.limiter.settle(self.permit, |state| {
            if state.fell.is_none_or(|fell| now.duration_since(fell) >= REST) {
                state.limit *= FALL;
                state.fell = Some(now);
            }
        });
    }

    /// The request failed in a way that says nothing about the table's load.
    pub fn failed(self) {
        self.limiter.settle(self.permit, |_| {});
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit lies between 1 and 65,535, and its fraction doesn't count"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn acquire(limiter: &Limiter) -> Option<Permit<'_>> {
        limiter.try_acquire()
    }

    #[test]
    fn who_waits_gets_a_turn_that_comes_back() {
        let limiter = Limiter::new(1);
        let permit = acquire(&limiter).expect("a permit");
        let mut waiting = Box::pin(limiter.acquire());
        assert!((&mut waiting).now_or_never().is_none());
        permit.failed();
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn the_limit_falls_once_in_a_while_and_rises_by_one_in_a_round() {
        let limiter = Limiter::new(10);
        let lent: Vec<_> = std::iter::from_fn(|| acquire(&limiter)).collect();
        assert_eq!(lent.len(), 10);
        let now = Instant::now();
        for permit in lent {
            permit.overloaded(now);
        }
        assert_eq!(limiter.limit(), 7, "ten refusals of one moment are one");
        let lent: Vec<_> = std::iter::from_fn(|| acquire(&limiter)).collect();
        assert_eq!(lent.len(), 7);
        for permit in lent {
            permit.succeeded();
        }
        assert_eq!(limiter.limit(), 7, "nearly eight");
        acquire(&limiter).expect("a permit").succeeded();
        assert_eq!(limiter.limit(), 8);
        acquire(&limiter).expect("a permit").overloaded(now + REST);
        assert_eq!(limiter.limit(), 5);
        acquire(&limiter).expect("a permit").failed();
        assert_eq!(limiter.limit(), 5);
    }

    #[test]
    fn one_request_is_always_possible() {
        let limiter = Limiter::new(3);
        let now = Instant::now();
        for round in 0..50 {
            acquire(&limiter).expect("a permit").overloaded(now + REST * round);
        }
        assert_eq!(limiter.limit(), 1);
        let permit = acquire(&limiter).expect("the last permit");
        assert!(acquire(&limiter).is_none());
        permit.failed();
        assert!(acquire(&limiter).is_some());
    }

    proptest! {
        /// Whatever happens to requests, those under way never exceed what was the limit when the last one began,
        /// and when all have ended there are as many permits as the limit says.
        #[test]
        fn permits_follow_the_limit(steps in proptest::collection::vec((0_u8..5, any::<prop::sample::Index>()), 0..300)) {
            let limiter = Limiter::new(12);
            let mut lent = Vec::new();
            let mut now = Instant::now();
            for (step, pick) in steps {
                if step < 2 {
                    let before = lent.len();
                    lent.extend(acquire(&limiter));
                    prop_assert!(lent.len() == before || before < limiter.limit().max(1));
                } else if !lent.is_empty() {
                    let permit: Permit<'_> = lent.swap_remove(pick.index(lent.len()));
                    match step {
                        2 => permit.succeeded(),
                        3 => permit.failed(),
                        _ => {
                            now += REST / 2;
                            permit.overloaded(now);
                        }
                    }
                }
            }
            for permit in lent.drain(..) {
                permit.failed();
            }
            prop_assert_eq!(limiter.permits.available_permits(), limiter.limit());
        }
    }
}
