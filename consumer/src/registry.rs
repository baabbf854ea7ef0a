//! The Schema Registry client.
//!
//! A schema id is for ever: once fetched, a schema is never asked for again.
//! "Not there" and "could not ask" are told apart: only the registry's own 404 is an absence.
//! A replica of the registry may learn of a new schema late, so one 404 proves nothing:
//! the caller asks again and says when it believes the absence, which is then remembered for seconds only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use events::qlik::{InvalidSchema, SchemaLookup, WriterSchema};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

/// The longest that one request may take, with its connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an absence that is believed is remembered.
const ABSENCE_TTL: Duration = Duration::from_secs(5);
/// The largest answer in bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// How many absences are remembered; corrupt messages may name any id.
const MAX_ABSENCES: usize = 1024;

/// Fetches and keeps writer schemas.
pub struct Registry {
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    schemas: RwLock<HashMap<u32, Arc<WriterSchema>>>,
    absences: Mutex<HashMap<u32, Instant>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client of the registry at `url` (`http://` or `https://`).
    ///
    /// # Errors
    /// When `url` is no URL, or it is `https://` and this machine has no root certificates.
    pub fn new(url: &str) -> Result<Self, RegistryUrlError> {
        let invalid = || RegistryUrlError::NotAUrl { url: url.to_owned() };
        let base = url.trim_end_matches('/').to_owned();
        let parsed: Uri = base.parse().map_err(|_| invalid())?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none() {
            return Err(invalid());
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
            client: Client::builder(TokioExecutor::new()).build(connector),
            schemas: RwLock::default(),
            absences: Mutex::default(),
        })
    }

    /// Fetches a schema, after which [`SchemaLookup::schema`] knows it. Asks the registry even when it said lately that there is none.
    ///
    /// # Errors
    /// See [`FetchError`]; [`FetchError::is_retryable`] says whether asking again can help.
    pub async fn fetch(&self, id: u32) -> Result<(), FetchError> {
        if self.schema(id).is_some() {
            return Ok(());
        }
        let fetched = tokio::time::timeout(REQUEST_TIMEOUT, self.request(id)).await;
        let schema = fetched.map_err(|_| FetchError::Timeout { id })??;
        let mut schemas = self.schemas.write().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(id, Arc::new(schema));
        Ok(())
    }

    async fn request(&self, id: u32) -> Result<WriterSchema, FetchError> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Unreachable { id, source };
        let request = Request::get(format!("{}/schemas/ids/{id}", self.base))
            .header(header::ACCEPT, "application/vnd.schemaregistry.v1+json, application/json")
            .body(Empty::new())
            .map_err(|source| unreachable(source.into()))?;
        let response = self.client.request(request).await.map_err(|source| unreachable(source.into()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(FetchError::NotFound { id }),
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
    pub fn is_absent(&self, id: u32) -> bool {
        let absences = self.absences.lock().unwrap_or_else(PoisonError::into_inner);
        absences.get(&id).is_some_and(|since| since.elapsed() < ABSENCE_TTL)
    }

    /// Remembers for a few seconds that the registry doesn't have this schema, so that each of many messages needn't find it out anew.
    pub fn believe_absence(&self, id: u32) {
        let mut absences = self.absences.lock().unwrap_or_else(PoisonError::into_inner);
        if absences.len() >= MAX_ABSENCES {
            absences.clear();
        }
        absences.insert(id, Instant::now());
    }
}

impl SchemaLookup for Registry {
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        schemas.get(&id).cloned()
    }
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
        id: u32,
    },
    /// It isn't Avro.
    #[error("schema {id} is of type {kind}; only AVRO is supported")]
    NotAvro {
        /// The id.
        id: u32,
        /// The registry's word for its type.
        kind: String,
    },
    /// It refers to other schemas of the registry.
    #[error("schema {id} refers to other schemas, which isn't supported")]
    References {
        /// The id.
        id: u32,
    },
    /// It is malformed.
    #[error("schema {id} can't be used")]
    Invalid {
        /// The id.
        id: u32,
        /// What is wrong.
        source: InvalidSchema,
    },
    /// The registry answered with an error.
    #[error("the schema registry answered {status} for schema {id}")]
    Status {
        /// The id.
        id: u32,
        /// The HTTP status.
        status: u16,
    },
    /// The registry didn't answer in time.
    #[error("the schema registry didn't answer for schema {id} within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// The id.
        id: u32,
    },
    /// There was no answer, or none that makes sense.
    #[error("the schema registry gave no usable answer for schema {id}")]
    Unreachable {
        /// The id.
        id: u32,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl FetchError {
    /// Whether asking again can help. An answer of 401 or 403 counts: it is a mistake in the registry's set-up, not in the message.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { .. } | Self::Timeout { .. } | Self::Unreachable { .. } => true,
            Self::NotFound { .. } | Self::NotAvro { .. } | Self::References { .. } | Self::Invalid { .. } => false,
        }
    }

    /// A stable name of the kind of error, for dead letters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "schema_not_found",
            Self::NotAvro { .. } | Self::References { .. } => "schema_unsupported",
            Self::Invalid { .. } => "schema_invalid",
            Self::Status { .. } | Self::Timeout { .. } | Self::Unreachable { .. } => "registry_unavailable",
        }
    }
}
