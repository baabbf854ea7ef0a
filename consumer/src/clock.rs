//! Time, as far as the pipeline waits for it.
//!
//! It is a port so that tests decide which of several waits ends first, instead of waiting.

use std::fmt;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

/// Tells the time and waits.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Instant;
    /// Waits.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
}

/// The runtime's clock.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock;

impl Clock for RuntimeClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// What `work` gives, or none when it takes longer than `limit`.
pub async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    // What is done at once needs no timer.
    if let std::task::Poll::Ready(done) = futures::poll!(work.as_mut()) {
        return Some(done);
    }
    let over = clock.sleep(limit);
    tokio::select! {
        biased;
        done = work => Some(done),
        () = over => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_given_up_at_its_limit() {
        let limit = Duration::from_millis(1);
        assert_eq!(within(&RuntimeClock, limit, std::future::ready(1)).await, Some(1));
        assert_eq!(within(&RuntimeClock, limit, std::future::pending::<()>()).await, None);
    }
}
