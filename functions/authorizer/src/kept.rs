//! A value that is fetched, kept for a while and fetched again.
//!
//! While it is fresh nobody waits. When it is too old the request that finds this out fetches it, and others wait for that
//! one fetch, whether it succeeds or fails. A fetch that fails isn't repeated at once, and the old value serves on for a
//! bounded time: the keys of an issuer that is down are better than none. Once it is known to be down, further attempts are
//! made beside the requests, so that nobody waits for an issuer that hangs. What the value is, and where it comes from, isn't
//! known here.

use crate::clock::{Clock, has_passed};
use std::error::Error;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

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
    /// Whether the last fetch failed.
    is_down: AtomicBool,
    /// The attempt that runs beside the requests, if there is one. It ends by the timeout of a fetch.
    attempt: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl<T> Kept<T> {
    pub(crate) fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            held: RwLock::new(None),
            last_fetch: Mutex::new(None),
            is_down: AtomicBool::new(false),
            attempt: std::sync::Mutex::new(None),
        }
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

    /// The same, but while the source is known to be down an old value is given at once, and whether the source is back is
    /// found out beside that.
    pub(crate) async fn get_without_waiting<E>(
        self: &Arc<Self>,
        clock: &impl Clock,
        fetch: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<Arc<Held<T>>, NoKeys>
    where
        T: Send + Sync + 'static,
        E: Error + Send + Sync + 'static,
    {
        let now = clock.now();
        let age = |held: &Held<T>, limit| has_passed(now, held.fetched_at, limit);
        let usable = self.held().filter(|held| !age(held, STALE_LIMIT));
        match usable {
            Some(held) if age(&held, self.keeping.max_age) && self.is_down.load(Ordering::Relaxed) => {
                self.attempt_beside(clock.clone(), fetch);
                Ok(held)
            }
            _ => self.get(clock, fetch).await,
        }
    }

    /// Fetches in a task, if none does already.
    fn attempt_beside<E>(
        self: &Arc<Self>,
        clock: impl Clock,
        fetch: impl Future<Output = Result<T, E>> + Send + 'static,
    ) where
        T: Send + Sync + 'static,
        E: Error + Send + Sync + 'static,
    {
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt.as_ref().is_none_or(JoinHandle::is_finished) {
            let kept = Arc::clone(self);
            *attempt = Some(tokio::spawn(async move {
                // What came of it is counted and logged, and the next request sees it.
                let _ = kept.get(&clock, fetch).await;
            }));
        }
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
        self.is_down.store(fetched.is_err(), Ordering::Relaxed);
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
mod tests;
