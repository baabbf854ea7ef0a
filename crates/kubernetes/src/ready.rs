//! Waits until what was applied works, kind by kind, and says what keeps it from that.
//!
//! A deadline is about standing still: a rollout that gets on has time. Each kind has its own, and what Kubernetes itself
//! gives up on ends the wait at once.

mod diagnosis;
mod hints;
mod standing;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::call::CallError;
use crate::cluster::{Cluster, Served};
use crate::object::Key;

pub use diagnosis::{Diagnosis, PodReport};
pub(crate) use standing::{Standing, standing};

/// How long between two looks, at first and later.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// What didn't get ready.
#[derive(Debug, Serialize)]
pub struct Unready {
    /// Which object.
    pub key: Key,
    /// What is missing: `1 of 3 pods are available`.
    pub why: String,
    /// How long it stood still; nothing if Kubernetes itself has given it up.
    pub stood_still: Option<Duration>,
    /// What its pods and Kubernetes say.
    pub diagnosis: Diagnosis,
}

/// Told what is waited for.
pub trait Progress: Sync {
    /// Something happens to an object.
    fn phase(&self, key: &Key, text: &str);
}

/// For who doesn't want to know.
impl Progress for () {
    fn phase(&self, _: &Key, _: &str) {}
}

/// Why a wait ended without success.
#[derive(Debug)]
pub(crate) enum WaitError {
    Unready(Box<Unready>),
    Gone,
    Call(CallError),
}

/// Waits until an object is ready; `seen` is what was read of it just now, if something was.
pub(crate) async fn wait(
    cluster: &Cluster,
    served: &Served,
    key: &Key,
    seen: Option<Value>,
    patience: Option<Duration>,
    progress: &dyn Progress,
) -> Result<(), WaitError> {
    let clock = cluster.clock();
    let mut best = 0;
    let mut moved_at = clock.elapsed();
    let mut pause = PAUSES.0;
    let mut said = String::new();
    let mut next = seen;
    loop {
        let live = match next.take() {
            Some(live) => live,
            None => cluster.get(served, key).await.map_err(WaitError::Call)?.ok_or(WaitError::Gone)?,
        };
        let (why, stood_still) = match standing(key, &live) {
            Standing::Ready => {
                if !said.is_empty() {
                    progress.phase(key, "ready");
                }
                return Ok(());
            }
            Standing::Failed(why) => (why, None),
            Standing::Waiting { why, reached, deadline } => {
                if reached > best {
                    (best, moved_at) = (reached, clock.elapsed());
                }
                let stood_still = clock.elapsed().saturating_sub(moved_at);
                if stood_still < patience.unwrap_or(deadline) {
                    if why != said {
                        progress.phase(key, &why);
                        said = why;
                    }
                    clock.sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    continue;
                }
                (why, Some(stood_still))
            }
        };
        let diagnosis = diagnosis::diagnose(cluster, key, &live).await;
        return Err(WaitError::Unready(Box::new(Unready { key: key.clone(), why, stood_still, diagnosis })));
    }
}
