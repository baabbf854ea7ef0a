//! DynamoDB, as far as the consumer asks it: one record that can be read, and tables that take everything.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::post;
use contracts::Region;
use events::Timestamp;
use events::authority::{Authority, Scope};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A record; its lease ends so long from now.
pub(crate) fn record(owner: &str, epoch: u64, lease: Option<Duration>) -> Authority {
    Authority {
        scope: Scope::all(),
        owner: Region::new(owner).expect("a region"),
        epoch: epoch.try_into().expect("from 1"),
        lease_until: lease.map(|lease| Timestamp::now() + lease),
        withdrawn: std::collections::BTreeMap::new(),
        changed_at: Timestamp::now(),
        changed_by: "ada".to_owned(),
    }
}

/// A server.
pub(crate) struct Tables {
    address: SocketAddr,
    state: Arc<Known>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Known {
    record: Mutex<Option<Value>>,
    /// The epochs of the writes that were answered.
    epochs: Mutex<Vec<String>>,
    calls: AtomicUsize,
    slow: Mutex<Duration>,
}

impl Tables {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Known::default());
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { address, state, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The record is this from now on.
    pub(crate) fn decide(&self, record: &Authority) {
        let item = serde_json::to_value(record.to_item()).expect("JSON");
        *self.state.record.lock().expect("no panic") = Some(item);
    }

    /// Each write takes so long from now on.
    pub(crate) fn set_slow(&self, write: Duration) {
        *self.state.slow.lock().expect("no panic") = write;
    }

    /// How many writes were asked for.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// The epochs of the writes that were answered.
    pub(crate) fn epochs(&self) -> Vec<String> {
        self.state.epochs.lock().expect("no panic").clone()
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(known): State<Arc<Known>>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let answer = if target.ends_with(".GetItem") {
        let record = known.record.lock().expect("no panic").clone();
        record.map_or(json!({}), |record| json!({ "Item": record }))
    } else {
        known.calls.fetch_add(1, Ordering::SeqCst);
        let wait = *known.slow.lock().expect("no panic");
        tokio::time::sleep(wait).await;
        let request: Value = serde_json::from_str(&body).expect("JSON");
        let epoch = request["ExpressionAttributeValues"][":ep"]["N"].as_str().expect("an epoch").to_owned();
        known.epochs.lock().expect("no panic").push(epoch);
        json!({})
    };
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answer.to_string())
}
