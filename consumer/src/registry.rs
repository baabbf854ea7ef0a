//! The Schema Registry client.
//!
//! A schema id is for ever: once fetched, a schema is never asked for again, neither by its number nor by its GUID.
//! "Not there" and "could not ask" are told apart: only the registry's own 404 is an absence.
//! A replica of the registry may learn of a new schema late, so one 404 proves nothing:
//! the caller asks again and says when it believes the absence, which is then remembered for seconds only.
//!
//! Beside what the registry has, this keeps the schemas that come with messages and those that metadata messages announce.
//! Announcements live in this process only: one that starts knows none, and its partitions begin behind the metadata messages
//! of before. Messages that refer to those become dead letters (`schema_missing`), until Replicate announces the schema anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use events::qlik::{
    Announcement, Announcements, EmbeddedSchemas, InvalidSchema, Poison, SchemaGuid, SchemaId, SchemaLookup,
    WriterSchema,
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{self, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::credentials::Credentials;

/// The longest that one request may take, with its connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an absence that is believed is remembered.
const ABSENCE_TTL: Duration = Duration::from_secs(5);
/// The largest answer in bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// How many absences are remembered; corrupt messages may name any id.
const MAX_ABSENCES: usize = 1024;
/// How long an id counts as one that nobody announces: long enough that a partition full of such messages isn't held up by each,
/// short enough that one whose announcement is only late loses little to the dead-letter topic.
const UNANNOUNCED_LIFETIME: Duration = Duration::from_secs(60);

/// Fetches and keeps writer schemas.
pub struct Registry {
    base: String,
    authorization: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    schemas: RwLock<HashMap<SchemaId, Arc<WriterSchema>>>,
    absences: Mutex<HashMap<SchemaId, Instant>>,
    announcements: Announcements,
    /// Ids that were waited for in vain, and when.
    unannounced: Mutex<HashMap<String, Instant>>,
    embedded: EmbeddedSchemas,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client of the registry at `url` (`http://` or `https://`), which sends `credentials` with each request by basic
    /// authentication (RFC 7617).
    ///
    /// # Errors
    /// When `url` is no URL, when it is `https://` and this machine has no root certificates, or when credentials would
    /// leave the machine unencrypted.
    pub fn new(url: &str, credentials: Option<&Credentials>) -> Result<Self, RegistryUrlError> {
        let invalid = || RegistryUrlError::NotAUrl { url: url.to_owned() };
        let base = url.trim_end_matches('/').to_owned();
        let parsed: Uri = base.parse().map_err(|_| invalid())?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none() {
            return Err(invalid());
        }
        if credentials.is_some() && !keeps_secrets(&parsed) {
            return Err(RegistryUrlError::Unencrypted { url: base });
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(RegistryUrlError::NoRoots)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            base,
            authorization: credentials.map(basic),
            client: Client::builder(TokioExecutor::new()).build(connector),
            schemas: RwLock::default(),
            absences: Mutex::default(),
            unannounced: Mutex::default(),
            announcements: Announcements::default(),
            embedded: EmbeddedSchemas::default(),
        })
    }

    /// Fetches a schema, after which [`SchemaLookup`] knows it. Asks the registry even when it said lately that there is none.
    ///
    /// # Errors
    /// See [`FetchError`]; [`FetchError::is_retryable`] says whether asking again can help.
    pub async fn fetch(&self, id: impl Into<SchemaId>) -> Result<(), FetchError> {
        let id = id.into();
        if self.fetched(id).is_some() {
            return Ok(());
        }
        let fetched = tokio::time::timeout(REQUEST_TIMEOUT, self.request(id)).await;
        let schema = fetched.map_err(|_| FetchError::Timeout { id })??;
        let mut schemas = self.schemas.write().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(id, Arc::new(schema));
        Ok(())
    }

    async fn request(&self, id: SchemaId) -> Result<WriterSchema, FetchError> {
        let path = match id {
            SchemaId::Number(number) => format!("ids/{number}"),
            // Since version 8 of Confluent's registry (its API reference, "Schemas", read 2026-11).
            SchemaId::Guid(guid) => format!("guids/{guid}"),
        };
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Unreachable { id, source };
        let mut request = Request::get(format!("{}/schemas/{path}", self.base))
            .header(header::ACCEPT, "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        let request = request.body(Empty::new()).map_err(|source| unreachable(source.into()))?;
        let response = self.client.request(request).await.map_err(|source| unreachable(source.into()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(FetchError::NotFound { id }),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(FetchError::Unauthorized { id, status: status.as_u16() });
            }
            status => {
                return Err(FetchError::Status { id, status: status.as_u16() });
            }
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER);
        let body = body.collect().await.map_err(unreachable)?.to_bytes();
        let answer: Answer = serde_json::from_slice(&body).map_err(|source| unreachable(source.into()))?;
        if answer.schema_type.as_deref().is_some_and(|kind| kind != "AVRO") {
            return Err(FetchError::NotAvro { id, kind: answer.schema_type.unwrap_or_default() });
        }
        if !answer.references.is_empty() {
            return Err(FetchError::References { id });
        }
        WriterSchema::parse(&answer.schema).map_err(|source| FetchError::Invalid { id, source })
    }

    /// Whether it was found out within the last seconds that the registry doesn't have this schema; see [`Self::believe_absence`].
    pub fn is_absent(&self, id: SchemaId) -> bool {
        let absences = self.absences.lock().unwrap_or_else(PoisonError::into_inner);
        absences.get(&id).is_some_and(|since| since.elapsed() < ABSENCE_TTL)
    }

    /// Remembers for a few seconds that the registry doesn't have this schema, so that each of many messages needn't find it out anew.
    pub fn believe_absence(&self, id: SchemaId) {
        let mut absences = self.absences.lock().unwrap_or_else(PoisonError::into_inner);
        if absences.len() >= MAX_ABSENCES {
            absences.clear();
        }
        absences.insert(id, Instant::now());
    }

    /// Whether this id was waited for in vain lately; see [`Self::believe_unannounced`].
    pub fn is_unannounced(&self, id: &str) -> bool {
        let unannounced = self.unannounced.lock().unwrap_or_else(PoisonError::into_inner);
        unannounced.get(id).is_some_and(|since| since.elapsed() < UNANNOUNCED_LIFETIME)
    }

    /// Remembers for a while that nobody announces this id, so that each of many messages needn't wait for it anew. An announcement
    /// that comes after all counts at once.
    pub fn believe_unannounced(&self, id: &str) {
        let mut unannounced = self.unannounced.lock().unwrap_or_else(PoisonError::into_inner);
        if unannounced.len() >= MAX_ABSENCES {
            unannounced.clear();
        }
        unannounced.insert(id.to_owned(), Instant::now());
    }

    /// Keeps what a metadata message announced. False when it is too large to be kept.
    pub fn announce(&self, announcement: Announcement) -> bool {
        self.announcements.add(announcement)
    }

    fn fetched(&self, id: SchemaId) -> Option<Arc<WriterSchema>> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        schemas.get(&id).cloned()
    }
}

impl SchemaLookup for Registry {
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>> {
        self.fetched(SchemaId::Number(id))
    }

    fn schema_by_guid(&self, guid: SchemaGuid) -> Option<Arc<WriterSchema>> {
        self.fetched(SchemaId::Guid(guid))
    }

    fn announced(&self, id: &str) -> Option<Arc<Announcement>> {
        self.announcements.get(id)
    }

    fn embedded(&self, json: &str) -> Result<Arc<WriterSchema>, InvalidSchema> {
        self.embedded.get(json)
    }
}

/// Whether what is sent to this URL can't be read on the way: it is encrypted, or stays on this machine.
fn keeps_secrets(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme_str() == Some("https") || local
}

/// The header's value, which is printed nowhere.
fn basic(Credentials { username, password }: &Credentials) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<serde::de::IgnoredAny>,
}

/// Why a registry can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryUrlError {
    /// The URL is none.
    #[error("`{url}` is no URL of a schema registry; expected one such as `https://registry.example.com`")]
    NotAUrl {
        /// What was given.
        url: String,
    },
    /// Credentials would be sent in plain text.
    #[error(
        "`{url}` would get a password unencrypted; use an `https` URL, or set `SCHEMA_REGISTRY_CREDENTIALS_DIR` to `none`"
    )]
    Unencrypted {
        /// What was given.
        url: String,
    },
    /// No root certificates.
    #[error("this machine has no root certificates; install its package `ca-certificates`")]
    NoRoots(#[source] std::io::Error),
}

/// Why a schema wasn't fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The registry doesn't have it.
    #[error("the schema registry has no schema {id}")]
    NotFound {
        /// The id.
        id: SchemaId,
    },
    /// It isn't Avro.
    #[error("schema {id} is of type {kind}; only AVRO is supported")]
    NotAvro {
        /// The id.
        id: SchemaId,
        /// The registry's word for its type.
        kind: String,
    },
    /// It refers to other schemas of the registry.
    #[error("schema {id} refers to other schemas, which isn't supported")]
    References {
        /// The id.
        id: SchemaId,
    },
    /// It is malformed.
    #[error("schema {id} can't be used")]
    Invalid {
        /// The id.
        id: SchemaId,
        /// What is wrong.
        source: InvalidSchema,
    },
    /// The registry wants credentials, or others than it got.
    #[error("the schema registry answered {status} for schema {id}; check the secret with its user name and password")]
    Unauthorized {
        /// The id.
        id: SchemaId,
        /// The HTTP status: 401 or 403.
        status: u16,
    },
    /// The registry answered with an error.
    #[error("the schema registry answered {status} for schema {id}")]
    Status {
        /// The id.
        id: SchemaId,
        /// The HTTP status.
        status: u16,
    },
    /// The registry didn't answer in time.
    #[error("the schema registry didn't answer for schema {id} within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// The id.
        id: SchemaId,
    },
    /// No metadata message announced it in time. It isn't the registry's.
    #[error(transparent)]
    Unannounced(Poison),
    /// There was no answer, or none that makes sense.
    #[error("the schema registry gave no usable answer for schema {id}")]
    Unreachable {
        /// The id.
        id: SchemaId,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl FetchError {
    /// Whether asking again can help. An answer of 401 or 403 counts: the mistake is in the set-up, not in the message.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unauthorized { .. } | Self::Status { .. } | Self::Timeout { .. } | Self::Unreachable { .. } => true,
            Self::NotFound { .. }
            | Self::NotAvro { .. }
            | Self::References { .. }
            | Self::Invalid { .. }
            | Self::Unannounced(_) => false,
        }
    }

    /// A stable name of the kind of error, for dead letters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "schema_not_found",
            Self::NotAvro { .. } | Self::References { .. } => "schema_unsupported",
            Self::Invalid { .. } => "schema_invalid",
            Self::Unannounced(poison) => poison.class(),
            Self::Unauthorized { .. } => "registry_unauthorized",
            Self::Status { .. } | Self::Timeout { .. } | Self::Unreachable { .. } => "registry_unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Path;
    use axum::http::HeaderMap;
    use axum::routing::get;
    use axum::{Json, Router};

    use super::*;

    fn credentials(password: &str) -> Credentials {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("username"), "reader").expect("written");
        std::fs::write(folder.path().join("password"), password).expect("written");
        Credentials::read(folder.path(), "SCHEMA_REGISTRY_CREDENTIALS_DIR").expect("both files")
    }

    /// A registry on this machine that answers only who says `reader:hunter2`.
    async fn registry_with_password() -> String {
        let answer = |headers: HeaderMap| async move {
            // `reader:hunter2` in base64.
            let good = headers.get("authorization").is_some_and(|value| value == "Basic cmVhZGVyOmh1bnRlcjI=");
            match good {
                true => Ok(Json(serde_json::json!({"schema": r#"{"type":"record","name":"Row","fields":[]}"#}))),
                false => Err(axum::http::StatusCode::UNAUTHORIZED),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/schemas/ids/{id}", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn credentials_are_sent_and_their_refusal_is_named() {
        let url = registry_with_password().await;
        let fetch = |credentials: Option<Credentials>| {
            let registry = Registry::new(&url, credentials.as_ref()).expect("a URL");
            async move { registry.fetch(7).await }
        };
        fetch(Some(credentials("hunter2"))).await.expect("the right password");
        for wrong in [None, Some(credentials("hunter3"))] {
            let error = fetch(wrong).await.expect_err("no or the wrong password");
            assert!(matches!(error, FetchError::Unauthorized { id: SchemaId::Number(7), status: 401 }), "{error}");
            assert!(error.is_retryable(), "no message is to blame for it");
            assert_eq!(error.class(), "registry_unauthorized");
        }
    }

    /// What a registry has for good and no row can be read by isn't asked for again.
    #[tokio::test]
    async fn what_is_no_usable_schema_is_no_passing_trouble() {
        let answer = |Path(id): Path<String>| async move {
            let body = match id.as_str() {
                "1" => serde_json::json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}),
                "2" => serde_json::json!({"schema": "\"string\"", "references": [{"name": "other"}]}),
                "3" => serde_json::json!({"schema": "no schema"}),
                _ => return Err(axum::http::StatusCode::BAD_GATEWAY),
            };
            Ok(Json(body))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/schemas/ids/{id}", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let registry = Registry::new(&url, None).expect("a URL");
        for (id, class, retryable) in [
            (1, "schema_unsupported", false),
            (2, "schema_unsupported", false),
            (3, "schema_invalid", false),
            (4, "registry_unavailable", true),
        ] {
            let error = registry.fetch(id).await.expect_err(class);
            assert_eq!((error.class(), error.is_retryable()), (class, retryable), "{error}");
        }
    }

    /// By number and by GUID the same: what is there is asked for once, what isn't is an absence that can end.
    #[tokio::test]
    async fn schemas_are_fetched_by_number_and_by_guid() {
        let questions = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&questions);
        let answer = move |Path((kind, id)): Path<(String, String)>| async move {
            asked.lock().expect("not poisoned").push(format!("{kind}/{id}"));
            match (kind.as_str(), id.as_str()) {
                ("ids", "7") | ("guids", "00000000-0000-0000-0000-000000000007") => {
                    Ok(Json(serde_json::json!({"schema": r#"{"type":"record","name":"Row","fields":[]}"#})))
                }
                _ => Err(axum::http::StatusCode::NOT_FOUND),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/schemas/{kind}/{id}", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let registry = Registry::new(&url, None).expect("a URL");
        let guid = |last: u8| SchemaGuid::from_bytes(std::array::from_fn(|index| if index == 15 { last } else { 0 }));
        for _ in 0..2 {
            registry.fetch(7).await.expect("there");
            registry.fetch(SchemaId::Guid(guid(7))).await.expect("there");
        }
        assert!(registry.schema(7).is_some() && registry.schema_by_guid(guid(7)).is_some());
        let absent = SchemaId::Guid(guid(8));
        let error = registry.fetch(absent).await.expect_err("not there");
        assert!(matches!(error, FetchError::NotFound { id } if id == absent), "{error}");
        assert!(!registry.is_absent(absent), "one answer proves nothing");
        registry.believe_absence(absent);
        assert!(registry.is_absent(absent) && !registry.is_absent(SchemaId::Number(8)));
        let expected =
            ["ids/7", "guids/00000000-0000-0000-0000-000000000007", "guids/00000000-0000-0000-0000-000000000008"];
        assert_eq!(*questions.lock().expect("not poisoned"), expected);
    }

    #[test]
    fn credentials_are_neither_printed_nor_sent_unencrypted() {
        let registry = Registry::new("http://localhost:8081", Some(&credentials("hunter2"))).expect("this machine");
        let printed = format!("{registry:?} {:?}", registry.authorization);
        assert!(!printed.contains("hunter2") && !printed.contains("cmVhZGVy"), "{printed}");
        for url in ["http://registry.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1:8081"] {
            let error = Registry::new(url, Some(&credentials("hunter2"))).expect_err("plain text");
            assert!(matches!(error, RegistryUrlError::Unencrypted { .. }), "{url}: {error}");
            assert!(Registry::new(url, None).is_ok(), "{url}");
        }
        for url in ["http://[::1]:8081", "http://127.0.0.1:8081"] {
            assert!(Registry::new(url, Some(&credentials("hunter2"))).is_ok(), "{url}");
        }
    }
}
