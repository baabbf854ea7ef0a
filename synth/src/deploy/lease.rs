//! One change of an environment at a time, from whatever machine: an object in the artifact bucket of the home region.
//!
//! S3 writes it only over what the writer has read, so two can't both have it. It names its holder and says until when it is
//! held; a run renews it while it lives, so that a killed one holds it for minutes and not for ever. Before the bucket is
//! there, CloudFormation alone keeps two runs apart, stack by stack.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cloud::CallError;
use crate::error::Error;
use crate::ui::Ui;

/// How long a run that isn't heard of any more holds the environment. More than clocks disagree.
const HELD_FOR: Duration = Duration::from_secs(10 * 60);
/// How often a run renews it.
const RENEWED_EVERY: Duration = Duration::from_secs(2 * 60);
/// How soon a renewal that failed is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long before others may take it a run that couldn't renew it stops: time to stop in, and what clocks disagree.
const MARGIN: Duration = Duration::from_secs(2 * 60);
/// How often one that waits looks.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// Who changes an environment, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Person or workflow run, and machine.
    pub(crate) holder: String,
    /// What is done, such as `synth deploy`.
    pub(crate) command: String,
    /// Tells two runs of one holder apart, and one's own write whose answer was lost from another's.
    pub(crate) run: String,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// What an object was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectVersion(pub(crate) String);

/// Where the object is.
pub(crate) trait LeaseStore: Send + Sync + 'static {
    /// What is there.
    fn read(&self) -> impl Future<Output = Result<Option<(Held, ObjectVersion)>, CallError>> + Send;
    /// Writes it over what was read, or where nothing was; none when it has changed since.
    fn write(
        &self,
        held: &Held,
        over: Option<&ObjectVersion>,
    ) -> impl Future<Output = Result<Option<ObjectVersion>, CallError>> + Send;
    /// The time.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> + Send;
}

/// The environment, held until [`Lease::release`].
#[derive(Debug)]
pub(crate) struct Lease<S> {
    store: Arc<S>,
    state: watch::Receiver<Option<(Held, ObjectVersion)>>,
    renewal: JoinHandle<()>,
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl<S: LeaseStore> Lease<S> {
    /// Takes the environment, and waits up to `wait` while another run has it.
    ///
    /// # Errors
    /// It is held by another run all that time, or the bucket can't be read or written.
    pub(crate) async fn take(ui: &Ui, store: S, holder: String, command: &str, wait: Duration) -> Result<Self, Error> {
        let unusable =
            |error| Error::remote("it can't be told whether someone else changes the environment").caused_by(error);
        let (since, run) = (store.now(), uuid::Uuid::new_v4().to_string());
        let mut waits_for = None;
        loop {
            let now = store.now();
            let found = store.read().await.map_err(unusable)?;
            let is_free = found.as_ref().is_none_or(|(held, _)| held.until <= now);
            if is_free {
                let (holder, command) = (holder.clone(), command.to_owned());
                let held = Held { holder, command, run: run.clone(), since: now, until: later(now) };
                let over = found.as_ref().map(|(_, version)| version);
                // Otherwise another run was faster.
                if let Some(version) = written(&store, &held, over).await.map_err(unusable)? {
                    return Ok(Self::renewed(store, held, version));
                }
                continue;
            }
            let Some((other, _)) = found else { continue };
            if now.duration_since(since) >= SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX) {
                return Err(Error::refused(format!(
                    "the environment is being changed by {} (`{}`, since {})",
                    other.holder, other.command, other.since
                ))
                .hint(format!(
                    "wait until that run has ended, or give `--wait` more time; one that was killed holds it until {}",
                    other.until
                )));
            }
            if waits_for.as_ref() != Some(&other.holder) {
                ui.status(&format!("waiting for {} (`{}`, since {})", other.holder, other.command, other.since));
                waits_for = Some(other.holder);
            }
            store.sleep(LOOKED_AT_EVERY).await;
        }
    }

    fn renewed(store: S, held: Held, version: ObjectVersion) -> Self {
        let store = Arc::new(store);
        let (sender, state) = watch::channel(Some((held, version)));
        let renewing = Arc::clone(&store);
        let renewal = tokio::spawn(async move {
            let mut pause = RENEWED_EVERY;
            loop {
                let Some((held, version)) = sender.borrow().clone() else { return };
                // A run must have stopped when others may begin, whatever a renewal is waiting for.
                let end = held.until.duration_since(renewing.now()).try_into().unwrap_or(Duration::ZERO);
                let renewal = async {
                    renewing.sleep(pause).await;
                    let next = Held { until: later(renewing.now()), ..held.clone() };
                    let written = written(&*renewing, &next, Some(&version)).await;
                    (next, written)
                };
                let outcome = tokio::select! {
                    outcome = renewal => Some(outcome),
                    () = renewing.sleep(end.saturating_sub(MARGIN)) => None,
                };
                match outcome {
                    Some((next, Ok(Some(version)))) => {
                        sender.send_replace(Some((next, version)));
                        pause = RENEWED_EVERY;
                    }
                    Some((_, Err(_))) => pause = TRIED_AGAIN_AFTER,
                    Some((_, Ok(None))) | None => {
                        sender.send_replace(None);
                        return;
                    }
                }
            }
        });
        Self { store, state, renewal }
    }

    /// Waits until the environment is somebody else's, which only happens to a run that couldn't renew it in time.
    pub(crate) async fn lost(&self) -> Error {
        let mut state = self.state.clone();
        // The sender lives in the task, which ends by saying so.
        let _ = state.wait_for(Option::is_none).await;
        Error::refused("another run may have taken the environment, because this one couldn't renew its lock")
            .hint("check the network, then run the command again: it carries on from what is there")
    }

    /// Gives the environment back. If that fails it is free when its time is over.
    pub(crate) async fn release(self) {
        self.renewal.abort();
        let held = self.state.borrow().clone();
        if let Some((held, version)) = held {
            let free = Held { until: self.store.now(), ..held };
            let _ = self.store.write(&free, Some(&version)).await;
        }
    }
}

/// Who holds the environment now; none when it is free.
pub(crate) async fn held(store: &impl LeaseStore) -> Result<Option<Held>, CallError> {
    let found = store.read().await?;
    Ok(found.map(|(held, _)| held).filter(|held| held.until > store.now()))
}

/// Writes it, and knows its own write when only the answer was lost: a repeated one finds its object changed, by itself.
async fn written(
    store: &impl LeaseStore,
    held: &Held,
    over: Option<&ObjectVersion>,
) -> Result<Option<ObjectVersion>, CallError> {
    if let Some(version) = store.write(held, over).await? {
        return Ok(Some(version));
    }
    let found = store.read().await?;
    Ok(found.filter(|(found, _)| found.run == held.run && found.until == held.until).map(|(_, version)| version))
}

fn later(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::try_from(HELD_FOR).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

/// Who runs the tool, for others to read: the workflow run, or else user and machine.
pub(crate) fn holder(variable: impl Fn(&str) -> Option<String>) -> String {
    if let (Some(repository), Some(run)) = (variable("GITHUB_REPOSITORY"), variable("GITHUB_RUN_ID")) {
        return format!("workflow run {run} of {repository}");
    }
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let machine = variable("HOSTNAME").or_else(|| {
        let name = std::fs::read_to_string("/etc/hostname").ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    });
    format!("{user} on {}, process {}", machine.unwrap_or_else(|| "an unnamed machine".to_owned()), std::process::id())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::deploy::cloud::CallClass;
    use crate::deploy::fake::said;
    use crate::error::Kind;
    use crate::ui::Format;

    /// A bucket, and a clock that goes a thousand times too fast.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Bucket(Arc<Mutex<State>>);

    #[derive(Debug)]
    pub(crate) struct State {
        object: Option<(Held, u32)>,
        start: tokio::time::Instant,
        is_down: bool,
        /// The next write is done, and its answer says otherwise, as a repeated request's.
        loses_answer: bool,
        writes: u32,
    }

    impl Default for State {
        fn default() -> Self {
            Self { object: None, start: tokio::time::Instant::now(), is_down: false, loses_answer: false, writes: 0 }
        }
    }

    impl LeaseStore for Bucket {
        async fn read(&self) -> Result<Option<(Held, ObjectVersion)>, CallError> {
            let state = self.0.lock().unwrap();
            Ok(state.object.clone().map(|(held, version)| (held, ObjectVersion(version.to_string()))))
        }

        async fn write(&self, held: &Held, over: Option<&ObjectVersion>) -> Result<Option<ObjectVersion>, CallError> {
            let mut state = self.0.lock().unwrap();
            if state.is_down {
                return Err(said(CallClass::Unreachable, "PutObject", "no route"));
            }
            let there = state.object.as_ref().map(|(_, version)| version.to_string());
            if there.as_deref() != over.map(|version| version.0.as_str()) {
                return Ok(None);
            }
            state.writes += 1;
            let version = state.writes;
            state.object = Some((held.clone(), version));
            if std::mem::take(&mut state.loses_answer) {
                return Ok(None);
            }
            Ok(Some(ObjectVersion(version.to_string())))
        }

        fn now(&self) -> Timestamp {
            let start: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
            start + SignedDuration::try_from(self.0.lock().unwrap().start.elapsed() * FASTER).unwrap()
        }

        async fn sleep(&self, wait: Duration) {
            tokio::time::sleep(wait / FASTER).await;
        }
    }

    const FASTER: u32 = 1_000;

    async fn take(bucket: &Bucket, who: &str, wait: u64) -> Result<Lease<Bucket>, Error> {
        let (ui, _) = Ui::buffered(Format::Human);
        Lease::take(&ui, bucket.clone(), who.to_owned(), "synth deploy", Duration::from_secs(wait)).await
    }

    #[tokio::test]
    async fn the_second_waits_and_is_told_who_is_first() {
        let bucket = Bucket::default();
        assert_eq!(held(&bucket).await.unwrap(), None);
        let first = take(&bucket, "ann", 0).await.unwrap();
        assert_eq!(held(&bucket).await.unwrap().map(|held| held.holder).as_deref(), Some("ann"));
        let error = take(&bucket, "bob", 0).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains("by ann (`synth deploy`, since 2026-12-01T10:00:0"), "{error}");
        let waiting = tokio::spawn({
            let bucket = bucket.clone();
            async move { take(&bucket, "bob", 600).await.map(drop) }
        });
        tokio::time::sleep(Duration::from_secs(60) / FASTER).await;
        assert!(!waiting.is_finished());
        first.release().await;
        waiting.await.unwrap().unwrap();
        assert_eq!(bucket.0.lock().unwrap().object.as_ref().unwrap().0.holder, "bob");
    }

    #[tokio::test]
    async fn a_killed_run_holds_it_for_minutes_and_a_living_one_for_as_long_as_it_lives() {
        let bucket = Bucket::default();
        // Dropped without a word, as by a kill.
        drop(take(&bucket, "ann", 0).await.unwrap());
        let bob = take(&bucket, "bob", 11 * 60).await.unwrap();
        tokio::time::sleep(HELD_FOR * 3 / FASTER).await;
        assert!(take(&bucket, "eve", 0).await.is_err(), "it is renewed");
        bob.release().await;
        take(&bucket, "eve", 0).await.unwrap();
    }

    #[tokio::test]
    async fn who_can_not_renew_it_stops() {
        let bucket = Bucket::default();
        let lease = take(&bucket, "ann", 0).await.unwrap();
        bucket.0.lock().unwrap().is_down = true;
        let error = tokio::time::timeout(HELD_FOR / FASTER, lease.lost()).await.expect("before others may take it");
        assert_eq!(error.kind(), Kind::Refused);
        assert!(take(&bucket, "bob", 0).await.is_err(), "it is held still");

        let bucket = Bucket::default();
        let lease = take(&bucket, "ann", 0).await.unwrap();
        bucket.0.lock().unwrap().object.as_mut().unwrap().1 = 77;
        tokio::time::timeout(RENEWED_EVERY * 4 / FASTER, lease.lost()).await.expect("it is noticed");
        lease.release().await;
        assert_eq!(bucket.0.lock().unwrap().object.as_ref().unwrap().1, 77, "the other's is left alone");
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_loses_nothing() {
        let bucket = Bucket::default();
        bucket.0.lock().unwrap().loses_answer = true;
        let lease = take(&bucket, "ann", 0).await.unwrap();
        bucket.0.lock().unwrap().loses_answer = true;
        tokio::time::timeout(RENEWED_EVERY * 3 / FASTER, lease.lost()).await.expect_err("its own write is no other's");
        lease.release().await;
        assert_eq!(held(&bucket).await.unwrap(), None, "what was given back is free");
    }

    #[test]
    fn holders_are_named() {
        let of = |pairs: &'static [(&str, &str)]| {
            holder(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("GITHUB_REPOSITORY", "o/r"), ("GITHUB_RUN_ID", "7"), ("USER", "x")]), "workflow run 7 of o/r");
        assert!(of(&[("USER", "ann"), ("HOSTNAME", "desk")]).starts_with("ann on desk, process "));
    }
}
