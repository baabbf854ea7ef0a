//! A value that is fetched, kept for a while and fetched again.
//!
//! While it is fresh nobody waits. When it is too old the request that finds this out fetches it, and others wait for that
//! one fetch, whether it succeeds or fails. A fetch that fails isn't repeated at once, and the old value serves on for a
//! bounded time: the keys of an issuer that is down are better than none. What the value is, and where it comes from, isn't
//! known here.

use crate::clock::{Clock, has_passed};
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How long a value is kept, and how often it is fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// What is kept, for metrics and messages: `secret` or `jwks`.
    pub(crate) what: &'static str,
    /// The value is fetched again when it is this old.
    pub(crate) max_age: Duration,
    /// While a value is held, fetches are at least this far apart.
    pub(crate) pause: Duration,
    /// The longest that one fetch may take.
    pub(crate) timeout: Duration,
}

/// How far apart fetches are while there is no value at all, and so no request can be decided on.
const PAUSE_WITHOUT_VALUE: Duration = Duration::from_secs(1);

/// When it can't be fetched, a value serves until it is this old.
const STALE_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// There is no value, and none was to be had.
#[derive(Debug, thiserror::Error)]
#[error("the {what} could not be fetched and none is held from before; tokens can't be checked until it can")]
pub struct NoKeys {
    what: &'static str,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// A value and when it was fetched.
pub(crate) struct Held<T> {
    pub(crate) value: T,
    fetched_at: SystemTime,
}

/// Keeps one value.
pub(crate) struct Kept<T> {
    keeping: Keeping,
    held: RwLock<Option<Arc<Held<T>>>>,
    /// When the last fetch ended, or was begun if nobody waited for its end. Locked while it runs, so that there is one at
    /// a time.
    last_fetch: Mutex<Option<SystemTime>>,
}

impl<T> Kept<T> {
    pub(crate) fn new(keeping: Keeping) -> Self {
        Self { keeping, held: RwLock::new(None), last_fetch: Mutex::new(None) }
    }

    /// The value, fetched if there is none that is young enough.
    pub(crate) async fn get<E>(
        &self,
        clock: &impl Clock,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<Held<T>>, NoKeys>
    where
        E: Error + Send + Sync + 'static,
    {
        let is_fresh = |held: &Held<T>| !has_passed(clock.now(), held.fetched_at, self.keeping.max_age);
        self.get_if(is_fresh, clock, fetch).await
    }

    /// A value that is newer than `seen`, if it may be fetched by now and could be; else `seen`.
    pub(crate) async fn newer<E>(
        &self,
        seen: &Arc<Held<T>>,
        clock: &impl Clock,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<Held<T>>, NoKeys>
    where
        E: Error + Send + Sync + 'static,
    {
        let is_newer = |held: &Held<T>| !std::ptr::eq(held, Arc::as_ptr(seen));
        self.get_if(is_newer, clock, fetch).await
    }

    async fn get_if<E>(
        &self,
        is_enough: impl Fn(&Held<T>) -> bool,
        clock: &impl Clock,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<Held<T>>, NoKeys>
    where
        E: Error + Send + Sync + 'static,
    {
        if let Some(held) = self.held().filter(|held| is_enough(held)) {
            return Ok(held);
        }
        let mut last_fetch = self.last_fetch.lock().await;
        // Another request may have fetched it while this one waited.
        let held = self.held();
        if let Some(held) = held.clone().filter(|held| is_enough(held)) {
            return Ok(held);
        }
        let pause = if held.is_some() { self.keeping.pause } else { PAUSE_WITHOUT_VALUE };
        if last_fetch.is_some_and(|last| !has_passed(clock.now(), last, pause)) {
            return self.stale(held, clock, None);
        }
        *last_fetch = Some(clock.now());
        let fetched = self.fetch(fetch).await;
        // The pause counts from the end: those who waited would else make a fetch each after one that hung for longer.
        *last_fetch = Some(clock.now());
        match fetched {
            Ok(value) => {
                let held = Arc::new(Held { value, fetched_at: clock.now() });
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&held));
                Ok(held)
            }
            Err(cause) => self.stale(held, clock, Some(cause)),
        }
    }

    async fn fetch<E>(&self, fetch: impl Future<Output = Result<T, E>>) -> Result<T, Box<dyn Error + Send + Sync>>
    where
        E: Error + Send + Sync + 'static,
    {
        let what = self.keeping.what;
        let fetched = match tokio::time::timeout(self.keeping.timeout, fetch).await {
            Ok(fetched) => fetched.map_err(|error| Box::new(error) as Box<dyn Error + Send + Sync>),
            Err(elapsed) => Err(elapsed.into()),
        };
        telemetry::TOKEN_KEY_FETCHES_TOTAL.inc(&[what, if fetched.is_ok() { "ok" } else { "failed" }]);
        if let Err(error) = &fetched {
            tracing::warn!(what, error = &**error as &dyn Error, "keys could not be fetched");
        }
        fetched
    }

    /// The old value, unless it is too old to be trusted.
    fn stale(
        &self,
        held: Option<Arc<Held<T>>>,
        clock: &impl Clock,
        cause: Option<Box<dyn Error + Send + Sync>>,
    ) -> Result<Arc<Held<T>>, NoKeys> {
        held.filter(|held| !has_passed(clock.now(), held.fetched_at, STALE_LIMIT))
            .ok_or(NoKeys { what: self.keeping.what, cause })
    }

    fn held(&self) -> Option<Arc<Held<T>>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io;
    use std::time::UNIX_EPOCH;

    /// A clock and a source that counts its fetches; what it gives is that count.
    #[derive(Default)]
    struct World {
        seconds: Cell<u64>,
        fetches: Cell<u32>,
        down: Cell<bool>,
        /// How many seconds a fetch takes.
        takes: Cell<u64>,
    }

    impl Clock for World {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(1_000_000 + self.seconds.get())
        }
    }

    impl World {
        async fn fetch(&self) -> Result<u32, io::Error> {
            self.fetches.set(self.fetches.get() + 1);
            tokio::task::yield_now().await;
            self.seconds.set(self.seconds.get() + self.takes.get());
            if self.down.get() { Err(io::Error::other("down")) } else { Ok(self.fetches.get()) }
        }

        async fn get(&self, kept: &Kept<u32>) -> Option<u32> {
            kept.get(self, self.fetch()).await.ok().map(|held| held.value)
        }
    }

    fn kept() -> Kept<u32> {
        let seconds = Duration::from_secs;
        Kept::new(Keeping { what: "test", max_age: seconds(600), pause: seconds(30), timeout: seconds(2) })
    }

    #[tokio::test]
    async fn a_value_is_fetched_again_when_it_is_old() {
        let (world, kept) = (World::default(), kept());
        for (second, value) in [(0, 1), (599, 1), (600, 2), (601, 2)] {
            world.seconds.set(second);
            assert_eq!(world.get(&kept).await, Some(value), "after {second} s");
        }
    }

    #[tokio::test]
    async fn an_old_value_serves_while_the_source_is_down() {
        let (world, kept) = (World::default(), kept());
        assert_eq!(world.get(&kept).await, Some(1));
        world.down.set(true);
        // At 600 s and at 630 s it is tried again, in between it isn't; after a day the value is not used any more.
        for (second, value, fetches) in
            [(600, Some(1), 2), (629, Some(1), 2), (630, Some(1), 3), (86_399, Some(1), 4), (86_400, None, 4)]
        {
            world.seconds.set(second);
            assert_eq!((world.get(&kept).await, world.fetches.get()), (value, fetches), "after {second} s");
        }
        world.down.set(false);
        world.seconds.set(86_430);
        assert_eq!(world.get(&kept).await, Some(5));
    }

    #[tokio::test]
    async fn without_a_value_it_is_tried_each_second() {
        let (world, kept) = (World::default(), kept());
        world.down.set(true);
        let error = kept.get(&world, world.fetch()).await.err().expect("there is none");
        assert_eq!(error.source().expect("a cause").to_string(), "down");
        assert_eq!((world.get(&kept).await, world.fetches.get()), (None, 1));
        world.down.set(false);
        world.seconds.set(1);
        assert_eq!(world.get(&kept).await, Some(2));
    }

    #[tokio::test]
    async fn a_newer_value_is_fetched_no_more_often_than_allowed() {
        let (world, kept) = (World::default(), kept());
        let first = kept.get(&world, world.fetch()).await.expect("fetched");
        for (second, value) in [(29, 1), (30, 2)] {
            world.seconds.set(second);
            assert_eq!(kept.newer(&first, &world, world.fetch()).await.expect("held").value, value);
        }
        assert_eq!(kept.newer(&first, &world, world.fetch()).await.expect("held").value, 2);
        assert_eq!(world.fetches.get(), 2, "what is newer already isn't fetched");
    }

    #[tokio::test]
    async fn many_requests_make_one_fetch() {
        let (world, kept) = (World::default(), kept());
        let (one, two, three) = tokio::join!(world.get(&kept), world.get(&kept), world.get(&kept));
        assert_eq!((one, two, three, world.fetches.get()), (Some(1), Some(1), Some(1), 1));
    }

    #[tokio::test]
    async fn those_who_wait_share_a_fetch_that_fails() {
        let (world, kept) = (World::default(), kept());
        world.down.set(true);
        world.takes.set(2);
        let (one, two, three) = tokio::join!(world.get(&kept), world.get(&kept), world.get(&kept));
        assert_eq!((one, two, three, world.fetches.get()), (None, None, None, 1));
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_keeps_nothing_alive() {
        let (world, kept) = (World::default(), kept());
        world.seconds.set(5_000);
        assert_eq!(world.get(&kept).await, Some(1));
        world.seconds.set(4_000);
        assert_eq!(world.get(&kept).await, Some(2));
    }

    #[tokio::test]
    async fn a_fetch_that_hangs_is_given_up() {
        let seconds = Duration::from_secs;
        let timeout = Duration::from_millis(20);
        let kept: Kept<u32> = Kept::new(Keeping { what: "test", max_age: seconds(600), pause: seconds(30), timeout });
        let hangs = std::future::pending::<Result<u32, io::Error>>();
        assert!(kept.get(&World::default(), hangs).await.is_err());
    }
}
