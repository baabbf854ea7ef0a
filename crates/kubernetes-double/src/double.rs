//! The server, and what a test does with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::request::{Query, Target};
use crate::rollout::Rollout;
use crate::status::Answer;
use crate::world::{Place, World};

/// A cluster's API on a port of this machine, until it is dropped.
pub struct Double {
    url: String,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

/// One request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `PATCH`, ….
    pub method: String,
    /// Its path.
    pub path: String,
    /// What follows the `?`.
    pub query: String,
    /// The code of the answer; nothing if there was none.
    pub code: Option<u16>,
}

impl Call {
    /// Whether it changed something, or would have.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !Query::of(&self.query).is_dry_run()
    }
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This is answered, and nothing done.
    Answer(Answer),
    /// Nothing is done, and nothing answered.
    Unheard,
    /// It is done, and the answer is lost.
    Unanswered,
}

#[derive(Default)]
struct Shared {
    world: World,
    calls: Vec<Call>,
    /// By the number of the call, from 0.
    faults: BTreeMap<usize, Fault>,
    /// From this call on, every call.
    dead_from: Option<(usize, Fault)>,
    token: Option<String>,
}

impl Double {
    /// Starts one with an empty cluster.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts one on a port.
    pub async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends when it is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Self { url, shared, server }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: double\ncontexts:\n- name: double\n  context: {{cluster: double, \
             user: double}}\nclusters:\n- name: double\n  cluster: {{server: \"{}\"}}\nusers:\n- name: double\n  user: {{}}\n",
            self.url
        )
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared().calls.clone()
    }

    /// What was asked so far that changed something, or would have.
    pub fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::is_write).collect()
    }

    /// Forgets what was asked, and counts calls from 0 again.
    pub fn forget_calls(&self) {
        let mut shared = self.shared();
        shared.calls.clear();
        shared.faults.clear();
        shared.dead_from = None;
    }

    /// Lets the call with that number, from 0, go wrong.
    pub fn fault(&self, call: usize, fault: Fault) {
        self.shared().faults.insert(call, fault);
    }

    /// Lets that call and all that follow go wrong, as if who calls had been killed.
    pub fn die_at(&self, call: usize, fault: Fault) {
        self.shared().dead_from = Some((call, fault));
    }

    /// Takes only calls with that token.
    pub fn accept_only(&self, token: &str) {
        self.shared().token = Some(token.to_owned());
    }

    /// Refuses a verb for a kind: `patch`, `deployments`.
    pub fn forbid(&self, verb: &str, plural: &str) {
        self.shared().world.forbidden.insert((verb.to_owned(), plural.to_owned()));
    }

    /// Ceases to serve a group's kinds.
    pub fn without(&self, group: &str) {
        self.shared().world.kinds.retain(|kind| kind.group != group);
    }

    /// Says what becomes of a deployment.
    pub fn rollout(&self, deployment: &str, rollout: Rollout) {
        self.shared().world.rollouts.insert(deployment.to_owned(), rollout);
    }

    /// Puts an object there as somebody else would have made it.
    pub fn put(&self, object: Value, manager: &str) {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        self.shared().world.put(&kind, object, manager);
    }

    /// Changes an object as somebody else would: `deployments`, `web`, `shop`.
    ///
    /// # Panics
    /// It isn't there.
    pub fn edit(&self, plural: &str, namespace: &str, name: &str, manager: &str, change: impl FnOnce(&mut Value)) {
        let mut shared = self.shared();
        let at = find(&shared.world, plural, namespace, name).unwrap_or_else(|| panic!("{plural} {namespace}/{name}"));
        shared.world.write(&at, manager, "", change);
    }

    /// Sets how many pods a deployment has, as an autoscaler would.
    ///
    /// # Panics
    /// It isn't there.
    pub fn scale(&self, namespace: &str, name: &str, replicas: u64) {
        let mut shared = self.shared();
        let at = find(&shared.world, "deployments", namespace, name).unwrap_or_else(|| panic!("{namespace}/{name}"));
        shared
            .world
            .write(&at, "kube-controller-manager", "scale", |object| object["spec"]["replicas"] = replicas.into());
    }

    /// Takes an object away.
    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        let mut shared = self.shared();
        if let Some(at) = find(&shared.world, plural, namespace, name) {
            shared.world.objects.remove(&at);
        }
    }

    /// An object, if it is there.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let shared = self.shared();
        find(&shared.world, plural, namespace, name).map(|at| shared.world.objects[&at].clone())
    }

    /// What there is, but for what controllers make: `deployments web/shop`.
    pub fn names(&self) -> Vec<String> {
        let shared = self.shared();
        let of_controllers = ["events", "pods", "replicasets"];
        let own = shared.world.objects.keys().filter(|(_, plural, ..)| !of_controllers.contains(&plural.as_str()));
        own.map(|(_, plural, namespace, name)| format!("{plural} {namespace}/{name}")).collect()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn find(world: &World, plural: &str, namespace: &str, name: &str) -> Option<Place> {
    let is_it = |at: &&Place| at.1 == plural && at.2 == namespace && at.3 == name;
    world.objects.keys().find(is_it).cloned()
}

async fn serve(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let number = shared.calls.len();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let method = parts.method.to_string();
    let fault = match &shared.dead_from {
        Some((from, fault)) if number >= *from => Some(fault.clone()),
        _ => shared.faults.remove(&number),
    };
    let given = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let is_known = shared.token.as_ref().is_none_or(|token| given == Some(&format!("Bearer {token}")));
    let answer = match &fault {
        Some(Fault::Answer(answer)) => Some(answer.clone()),
        Some(Fault::Unheard) => None,
        _ if !is_known => Some(Answer::failure(401, "Unauthorized", "Unauthorized", &Value::Null)),
        _ => Some(answered(&mut shared.world, &method, &path, &query, &bytes)),
    };
    let answer = answer.filter(|_| !matches!(fault, Some(Fault::Unanswered)));
    let code = answer.as_ref().map(|answer| answer.code.as_u16());
    shared.calls.push(Call { method, path, query, code });
    match answer {
        Some(Answer { code, body: Value::String(text) }) => response(code.as_u16(), "text/plain", Body::from(text)),
        Some(Answer { code, body }) => response(code.as_u16(), "application/json", Body::from(body.to_string())),
        // An answer that breaks off.
        None => {
            let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "gone");
            response(200, "application/json", Body::from_stream(stream::iter([Err::<Bytes, _>(broken)])))
        }
    }
}

fn answered(world: &mut World, method: &str, path: &str, query: &str, bytes: &[u8]) -> Answer {
    match if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes) } {
        Ok(body) => world.answer(method, Target::of(path), &Query::of(query), &body),
        Err(error) => Answer::failure(400, "BadRequest", &error.to_string(), &Value::Null),
    }
}

fn response(code: u16, form: &str, body: Body) -> Response {
    Response::builder().status(code).header("content-type", form).body(body).expect("a good answer")
}
