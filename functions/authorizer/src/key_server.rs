//! An issuer's key set over HTTP.
//!
//! Fetches are minutes apart, so no connection is kept: a function is frozen in between, and what it kept would be dead.
//! Redirects aren't followed, because the keys' address is part of the trust in them. How often it is asked is decided
//! elsewhere.

use crate::public_keys::{FetchKeys, KeySet, NotAKeySet};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

/// The longest that opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest answer in bytes; a set of ten keys with certificates has about 30,000.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// The place where an issuer publishes its keys.
#[derive(Debug)]
pub struct KeyServer {
    address: Uri,
    /// Made by the first fetch: root certificates take time that a start without such tokens needn't spend.
    client: OnceLock<HttpClient>,
}

impl KeyServer {
    /// The keys at `<issuer>/.well-known/jwks.json`.
    ///
    /// # Errors
    /// When `issuer` is no URL that starts with `https://` or `http://`.
    pub fn of_issuer(issuer: &str) -> Result<Self, NotAnIssuerUrl> {
        let invalid = || NotAnIssuerUrl { issuer: issuer.to_owned() };
        let address: Uri =
            format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/')).parse().map_err(|_| invalid())?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none() {
            return Err(invalid());
        }
        Ok(Self { address, client: OnceLock::new() })
    }

    fn client(&self) -> Result<&HttpClient, FetchError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(FetchError::NoRoots)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(self.client.get_or_init(|| client))
    }
}

impl FetchKeys for KeyServer {
    type Error = FetchError;

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let unreachable = |source: Box<dyn Error + Send + Sync>| FetchError::Unreachable { source };
        let request = Request::get(self.address.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::new())
            .map_err(|source| unreachable(source.into()))?;
        let response = self.client()?.request(request).await.map_err(|source| unreachable(source.into()))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { status: response.status().as_u16() });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(unreachable)?;
        Ok(KeySet::parse(&body.to_bytes())?)
    }
}

/// A text that is no issuer's URL.
#[derive(Debug, thiserror::Error)]
#[error("`{issuer}` is no URL of an issuer; expected one such as `https://login.example.com`")]
pub struct NotAnIssuerUrl {
    issuer: String,
}

/// Why a key set was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No root certificates.
    #[error("this machine has no root certificates; install its package `ca-certificates`")]
    NoRoots(#[source] std::io::Error),
    /// No answer came, or only a part of one.
    #[error("the issuer's key server can't be reached")]
    Unreachable {
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer wasn't 200.
    #[error("the issuer's key server answered {status}; keys are expected at `<issuer>/.well-known/jwks.json`")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer was something else.
    #[error("the issuer's key server answered with something else than keys")]
    NotAKeySet(#[from] NotAKeySet),
}
