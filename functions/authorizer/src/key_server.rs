//! An issuer's key set over HTTP.
//!
//! Fetches are minutes apart, so no connection is kept: a function is frozen in between, and what it kept would be dead.
//! Redirects aren't followed, because the keys' address is part of the trust in them. How often it is asked is decided
//! elsewhere.

use crate::public_keys::{FetchKeys, KeySet, NotAKeySet};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
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
    client: HttpClient,
}

impl KeyServer {
    /// The keys at `<issuer>/.well-known/jwks.json`.
    ///
    /// # Errors
    /// When `issuer` is no URL that starts with `https://` or `http://`, or when `SSL_CERT_FILE` or `SSL_CERT_DIR` is set
    /// and gives no root certificates.
    pub fn of_issuer(issuer: &str) -> Result<Self, NoKeyServer> {
        let invalid = || NoKeyServer::NotAnIssuerUrl { issuer: issuer.to_owned() };
        let address: Uri =
            format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/')).parse().map_err(|_| invalid())?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none() {
            return Err(invalid());
        }
        Ok(Self { address, client: client()? })
    }
}

fn client() -> Result<HttpClient, NoKeyServer> {
    let connector = aws::https_connector(CONNECT_TIMEOUT).map_err(NoKeyServer::NoRoots)?;
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

impl FetchKeys for KeyServer {
    type Error = FetchError;

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let unreachable = |source: Box<dyn Error + Send + Sync>| FetchError::Unreachable { source };
        let request = Request::get(self.address.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::new())
            .map_err(|source| unreachable(source.into()))?;
        let response = self.client.request(request).await.map_err(|source| unreachable(source.into()))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { status: response.status().as_u16() });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(unreachable)?;
        Ok(KeySet::parse(&body.to_bytes())?)
    }
}

/// Why an issuer's key server can't be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum NoKeyServer {
    /// The issuer is no URL.
    #[error("`{issuer}` is no URL of an issuer; expected one such as `https://login.example.com`")]
    NotAnIssuerUrl {
        /// What was given.
        issuer: String,
    },
    /// No root certificates.
    #[error("`SSL_CERT_FILE` or `SSL_CERT_DIR` is set and gives no root certificates; name some, or take it away")]
    NoRoots(#[source] std::io::Error),
}

/// Why a key set was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
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
