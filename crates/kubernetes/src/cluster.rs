//! A cluster that can be asked: every call has a limit, transient failures are repeated, and the token is renewed in time.

mod connect;
mod kinds;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::core::params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::request::Request;
use serde_json::Value;
use tokio::time::timeout;

pub use connect::{ConnectError, Endpoint, Identity, IdentityError, Token};
pub(crate) use kinds::Served;
pub use kinds::Unserved;

use crate::call::{CallClass, CallError, failed, timed_out};
use crate::clock::Clock;
use crate::object::Key;
use connect::Bearer;

/// The longest that one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Pauses before a call is repeated; after the last one its failure stands.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1_200),
    Duration::from_secs(3),
    Duration::from_secs(7),
];

/// The longest pause that a busy cluster gets by asking for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many calls are under way at once.
pub(crate) const PARALLEL_CALLS: usize = 8;

/// A cluster's API, with what has been learnt of it.
pub struct Cluster {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    bearer: Option<Bearer>,
    /// Kinds that the cluster serves, by group and version.
    kinds: Mutex<BTreeMap<String, kinds::Kinds>>,
    address: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner<'a> {
    /// Who applies it.
    pub(crate) manager: &'a str,
    /// Only ask what would become of it.
    pub(crate) is_dry_run: bool,
    /// Take fields from others.
    pub(crate) forces: bool,
}

impl Cluster {
    /// Its API's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Finds out soon whether there is a way to the cluster: later calls are more patient.
    ///
    /// # Errors
    /// It doesn't answer, or doesn't know who asks.
    pub async fn hello(&self) -> Result<(), CallError> {
        let version = async || self.client.apiserver_version().await.map(drop);
        self.repeated("asking for the version", false, &PAUSES[..1], version).await
    }

    /// The object, or none if the cluster says that it isn't there or serves no such kind.
    ///
    /// # Errors
    /// The cluster can't be asked.
    pub async fn read(&self, api_version: &str, key: &Key) -> Result<Option<Value>, CallError> {
        match self.served(api_version, &key.kind).await? {
            Ok(served) => self.get(&served, key).await,
            Err(_) => Ok(None),
        }
    }

    /// The object, or none if the cluster says that it isn't there.
    pub(crate) async fn get(&self, served: &Served, key: &Key) -> Result<Option<Value>, CallError> {
        let doing = format!("reading {key}");
        let get = || Request::new(served.path(key.namespace.as_deref())).get(&key.name, &GetParams::default());
        match self.ask(doing, key.is_secret(), get).await {
            Ok(value) => Ok(Some(value)),
            Err(CallError { class: CallClass::NotFound { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Objects of a kind with these labels and fields.
    pub(crate) async fn list(
        &self,
        served: &Served,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Result<Vec<Value>, CallError> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let params = ListParams { label_selector: some(labels), field_selector: some(fields), ..ListParams::default() };
        let list = || Request::new(served.path(Some(namespace))).list(&params);
        let doing = format!("listing {} in {namespace}", served.resource.plural);
        let mut answer = self.ask(doing, false, list).await?;
        Ok(match answer["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }

    /// The object as it is after it was applied, or would be.
    pub(crate) async fn apply(
        &self,
        served: &Served,
        key: &Key,
        value: &Value,
        manner: Manner<'_>,
    ) -> Result<Value, CallError> {
        let params = PatchParams {
            dry_run: manner.is_dry_run,
            force: manner.forces,
            field_manager: Some(manner.manager.to_owned()),
            // A field that the kind doesn't have is a mistake, and not to be dropped in silence.
            ..PatchParams::default().validation_strict()
        };
        let verb = if manner.is_dry_run { "trying" } else { "applying" };
        let patch =
            || Request::new(served.path(key.namespace.as_deref())).patch(&key.name, &params, &Patch::Apply(value));
        self.ask(format!("{verb} {key}"), key.is_secret(), patch).await
    }

    /// Makes an object that isn't there.
    pub(crate) async fn create(
        &self,
        served: &Served,
        key: &Key,
        value: &Value,
        manager: &str,
    ) -> Result<Value, CallError> {
        let params = PostParams { dry_run: false, field_manager: Some(manager.to_owned()) };
        let bytes = value.to_string().into_bytes();
        let create = || Request::new(served.path(key.namespace.as_deref())).create(&params, bytes.clone());
        self.ask(format!("making {key}"), key.is_secret(), create).await
    }

    /// Writes an object over the one whose `resourceVersion` it holds, and over no other.
    pub(crate) async fn replace(
        &self,
        served: &Served,
        key: &Key,
        value: &Value,
        manager: &str,
    ) -> Result<Value, CallError> {
        let params = PostParams { dry_run: false, field_manager: Some(manager.to_owned()) };
        let bytes = value.to_string().into_bytes();
        let replace = || Request::new(served.path(key.namespace.as_deref())).replace(&key.name, &params, bytes.clone());
        self.ask(format!("writing {key}"), key.is_secret(), replace).await
    }

    /// Deletes exactly that object, as it was seen; one that isn't there is deleted.
    pub(crate) async fn delete(
        &self,
        served: &Served,
        key: &Key,
        uid: &str,
        resource_version: &str,
    ) -> Result<(), CallError> {
        let params = DeleteParams::background().preconditions(kube::core::params::Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(resource_version.to_owned()),
        });
        let delete = || Request::new(served.path(key.namespace.as_deref())).delete(&key.name, &params);
        match self.ask(format!("deleting {key}"), key.is_secret(), delete).await {
            Ok(_) => Ok(()),
            Err(CallError { class: CallClass::NotFound { .. }, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a request until it is answered, at most six times.
    async fn ask(
        &self,
        doing: String,
        is_secret: bool,
        request: impl Fn() -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, CallError> {
        self.repeated(&doing, is_secret, &PAUSES, async || {
            let request = request().map_err(kube::Error::BuildRequest)?;
            self.client.request(request).await
        })
        .await
    }

    async fn repeated<T>(
        &self,
        doing: &str,
        is_secret: bool,
        pauses: &[Duration],
        call: impl AsyncFn() -> kube::Result<T>,
    ) -> Result<T, CallError> {
        let mut pauses = pauses.iter();
        let mut is_renewed = false;
        loop {
            if let Some(bearer) = &self.bearer {
                bearer.refresh(self.clock.as_ref()).await.map_err(|error| error.during(doing))?;
            }
            let error = match timeout(CALL_LIMIT, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => failed(doing.to_owned(), is_secret, &error),
                Err(_) => timed_out(doing.to_owned(), CALL_LIMIT),
            };
            match (&error.class, &self.bearer) {
                // A token may end earlier than it promised; a second refusal stands.
                (CallClass::Unauthenticated, Some(bearer)) if !is_renewed => {
                    is_renewed = true;
                    bearer.forget();
                }
                _ if error.is_transient() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    let asked = match error.class {
                        CallClass::Busy { retry_after } => retry_after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    self.clock.sleep((*pause).max(asked.min(LONGEST_PAUSE))).await;
                }
                _ => return Err(error),
            }
        }
    }
}
