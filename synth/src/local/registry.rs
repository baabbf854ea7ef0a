//! A Schema Registry for the local platform: the part of Confluent's REST interface that clients of this system use.
//!
//! Registers Avro schemas, gives them out by id, subject and version, and keeps them in a JSON file.
//! One schema has one id, whatever its subjects and its spelling. It checks no compatibility between versions,
//! knows no references, no other formats and no deleting.
//! Paths, bodies and error codes follow <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>
//! (read 2026-11-21).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apache_avro::Schema;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::files;
use super::problem::Problem;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The registered schemas, shared by all requests.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Mutex<Store>>);

#[derive(Debug)]
struct Store {
    file: PathBuf,
    content: Content,
}

/// What the file holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Content {
    /// Texts as first registered; the id is the position plus one.
    schemas: Vec<String>,
    /// Ids of a subject's versions; the version is the position plus one.
    subjects: BTreeMap<String, Vec<u32>>,
}

impl Registry {
    /// Reads `file`, if there is one, and keeps it up to date from then on.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn open(file: PathBuf) -> Result<Self, Problem> {
        let content = files::read_json(&file)?.unwrap_or_default();
        Ok(Self(Arc::new(Mutex::new(Store { file, content }))))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Content is replaced as a whole, after it was written: a panic leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The interface's routes.
pub fn router(registry: Registry) -> Router {
    Router::new()
        .route("/", get(async || Answer(json!({}))))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(look_up))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/schemas/ids/{id}", get(by_id))
        .route("/config", get(async || Answer(json!({ "compatibilityLevel": "NONE" }))))
        .with_state(registry)
}

async fn subjects(State(registry): State<Registry>) -> Answer {
    Answer(json!(registry.store().content.subjects.keys().collect::<Vec<_>>()))
}

async fn versions(State(registry): State<Registry>, Path(subject): Path<String>) -> Result<Answer, Refusal> {
    let store = registry.store();
    let ids = store.content.subjects.get(&subject).ok_or(Refusal::NoSubject(subject))?;
    Ok(Answer(json!((1..=ids.len()).collect::<Vec<_>>())))
}

async fn version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
) -> Result<Answer, Refusal> {
    let store = registry.store();
    let Some(ids) = store.content.subjects.get(&subject) else {
        return Err(Refusal::NoSubject(subject));
    };
    let number = match version.as_str() {
        "latest" | "-1" => ids.len(),
        text => text.parse().ok().filter(|number| *number > 0).ok_or(Refusal::BadVersion(version))?,
    };
    let id = *ids.get(number - 1).ok_or(Refusal::NoVersion(number))?;
    let schema = store.content.text(id).ok_or(Refusal::NoSchema)?;
    Ok(Answer(json!({ "subject": subject, "id": id, "version": number, "schema": schema })))
}

async fn by_id(State(registry): State<Registry>, Path(id): Path<String>) -> Result<Answer, Refusal> {
    let store = registry.store();
    let schema = id.parse().ok().and_then(|id| store.content.text(id)).ok_or(Refusal::NoSchema)?;
    Ok(Answer(json!({ "schema": schema })))
}

async fn register(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let text = schema_of(&body)?;
    let mut store = registry.store();
    let mut content = store.content.clone();
    let id = content.register(subject, text)?;
    files::write_json(&store.file, &content).map_err(Refusal::NotKept)?;
    store.content = content;
    Ok(Answer(json!({ "id": id })))
}

async fn look_up(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let text = schema_of(&body)?;
    let store = registry.store();
    let Some(ids) = store.content.subjects.get(&subject) else {
        return Err(Refusal::NoSubject(subject));
    };
    let id = store.content.id_of(&text).ok_or(Refusal::NoSchema)?;
    let position = ids.iter().position(|other| *other == id).ok_or(Refusal::NoSchema)?;
    Ok(Answer(json!({ "subject": subject, "id": id, "version": position + 1, "schema": store.content.text(id) })))
}

/// The Avro schema in a request's body, checked.
fn schema_of(body: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Registration {
        schema: String,
        schema_type: Option<String>,
        #[serde(default)]
        references: Vec<Value>,
    }
    let Registration { schema, schema_type, references } = serde_json::from_slice(body)
        .map_err(|error| Refusal::BadSchema(format!("the body is not a schema: {error}")))?;
    if let Some(format) = schema_type.filter(|format| format != "AVRO") {
        return Err(Refusal::BadSchema(format!("the local registry knows only AVRO, not {format}")));
    }
    if !references.is_empty() {
        return Err(Refusal::BadSchema("the local registry knows no references".to_owned()));
    }
    Schema::parse_str(&schema).map_err(|error| Refusal::BadSchema(error.to_string()))?;
    Ok(schema)
}

impl Content {
    fn text(&self, id: u32) -> Option<&str> {
        let position = usize::try_from(id.checked_sub(1)?).ok()?;
        self.schemas.get(position).map(String::as_str)
    }

    /// Spelling (spaces, order of keys) makes no new schema.
    fn id_of(&self, text: &str) -> Option<u32> {
        let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
        let wanted = parse(text)?;
        let position = self.schemas.iter().position(|known| parse(known).as_ref() == Some(&wanted))?;
        u32::try_from(position + 1).ok()
    }

    fn register(&mut self, subject: String, text: String) -> Result<u32, Refusal> {
        let id = match self.id_of(&text) {
            Some(id) => id,
            None => {
                self.schemas.push(text);
                u32::try_from(self.schemas.len()).map_err(|_| Refusal::BadSchema("too many schemas".to_owned()))?
            }
        };
        let ids = self.subjects.entry(subject).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
        Ok(id)
    }
}

/// A body in the registry's own content type.
struct Answer(Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], self.0.to_string()).into_response()
    }
}

/// Why a request is refused.
#[derive(Debug)]
enum Refusal {
    NoSubject(String),
    NoVersion(usize),
    BadVersion(String),
    NoSchema,
    BadSchema(String),
    NotKept(Problem),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::NoSubject(subject) => (StatusCode::NOT_FOUND, 40401, format!("Subject '{subject}' not found.")),
            Self::NoVersion(version) => (StatusCode::NOT_FOUND, 40402, format!("Version {version} not found.")),
            Self::NoSchema => (StatusCode::NOT_FOUND, 40403, "Schema not found".to_owned()),
            Self::BadSchema(why) => (StatusCode::UNPROCESSABLE_ENTITY, 42201, format!("Invalid schema: {why}")),
            Self::BadVersion(version) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                42202,
                format!("The specified version '{version}' is not a valid version id."),
            ),
            Self::NotKept(problem) => (StatusCode::INTERNAL_SERVER_ERROR, 50001, problem.to_string()),
        };
        (status, Answer(json!({ "error_code": code, "message": message }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Method;

    use super::*;
    use crate::local::http;

    struct Server {
        address: String,
        task: tokio::task::JoinHandle<std::io::Result<()>>,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    impl Server {
        async fn start(file: PathBuf) -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound").to_string();
            let app = router(Registry::open(file).expect("readable"));
            Self { address, task: tokio::spawn(axum::serve(listener, app).into_future()) }
        }

        async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
            let url = format!("http://{}{path}", self.address);
            let answer = http::send(method, &url, None, body.to_string().into_bytes(), Duration::from_secs(5)).await;
            let answer = answer.expect("it answers");
            (answer.status.as_u16(), serde_json::from_slice(&answer.body).expect("JSON"))
        }

        async fn get(&self, path: &str) -> (u16, Value) {
            self.ask(Method::GET, path, Value::Null).await
        }

        async fn post(&self, path: &str, schema: &str) -> (u16, Value) {
            self.ask(Method::POST, path, json!({ "schema": schema })).await
        }
    }

    const A: &str = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#;
    const A_RESPELLED: &str = r#"{ "name": "A", "fields": [ {"type": "int", "name": "x"} ], "type": "record" }"#;

    #[tokio::test]
    async fn schemas_are_registered_once_and_found_by_id_subject_and_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(folder.path().join("registry.json")).await;
        assert_eq!(server.post("/subjects/a-value/versions", A).await, (200, json!({ "id": 1 })));
        assert_eq!(server.post("/subjects/a-value/versions", A_RESPELLED).await, (200, json!({ "id": 1 })));
        assert_eq!(server.post("/subjects/a-value/versions", "\"string\"").await, (200, json!({ "id": 2 })));
        assert_eq!(server.post("/subjects/b-value/versions", A).await, (200, json!({ "id": 1 })), "ids are global");
        assert_eq!(server.get("/subjects").await, (200, json!(["a-value", "b-value"])));
        assert_eq!(server.get("/subjects/a-value/versions").await, (200, json!([1, 2])));
        assert_eq!(server.get("/schemas/ids/1").await, (200, json!({ "schema": A })));
        let second = json!({ "subject": "a-value", "id": 2, "version": 2, "schema": "\"string\"" });
        assert_eq!(server.get("/subjects/a-value/versions/latest").await, (200, second.clone()));
        assert_eq!(server.get("/subjects/a-value/versions/2").await, (200, second));
        let first = json!({ "subject": "b-value", "id": 1, "version": 1, "schema": A });
        assert_eq!(server.post("/subjects/b-value", A_RESPELLED).await, (200, first));
    }

    #[tokio::test]
    async fn refusals_have_the_codes_that_clients_look_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(folder.path().join("registry.json")).await;
        server.post("/subjects/a-value/versions", A).await;
        let code = |(status, body): (u16, Value)| (status, body["error_code"].as_i64().unwrap_or_default());
        for (path, expected) in [
            ("/subjects/x/versions", (404, 40401)),
            ("/subjects/x/versions/latest", (404, 40401)),
            ("/subjects/a-value/versions/2", (404, 40402)),
            ("/subjects/a-value/versions/0", (422, 42202)),
            ("/subjects/a-value/versions/x", (422, 42202)),
            ("/schemas/ids/9", (404, 40403)),
            ("/schemas/ids/0", (404, 40403)),
            ("/schemas/ids/x", (404, 40403)),
        ] {
            assert_eq!(code(server.get(path).await), expected, "{path}");
        }
        assert_eq!(code(server.post("/subjects/x", A).await), (404, 40401));
        assert_eq!(code(server.post("/subjects/a-value", "\"int\"").await), (404, 40403));
        for body in [
            json!({ "schema": "{" }),
            json!({ "schema": r#"{"type":"recrod"}"# }),
            json!({ "schema": A, "schemaType": "PROTOBUF" }),
            json!({ "schema": "\"int\"", "references": [{ "name": "A", "subject": "a", "version": 1 }] }),
            json!({}),
        ] {
            let answer = server.ask(Method::POST, "/subjects/a-value/versions", body.clone()).await;
            assert_eq!(code(answer), (422, 42201), "{body}");
        }
        assert_eq!(server.get("/subjects/a-value/versions").await, (200, json!([1])), "nothing was added");
    }

    #[tokio::test]
    async fn what_is_registered_outlives_the_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("registry.json");
        Server::start(file.clone()).await.post("/subjects/a-value/versions", A).await;
        let server = Server::start(file).await;
        assert_eq!(server.get("/schemas/ids/1").await, (200, json!({ "schema": A })));
        assert_eq!(server.post("/subjects/a-value/versions", "\"int\"").await, (200, json!({ "id": 2 })));
    }
}
