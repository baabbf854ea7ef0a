//! A very small HTTP client for servers on this machine: plain text, one request a connection, always a time limit and
//! a longest answer.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::problem::Problem;

/// The longest answer that is taken; bytes. A platform's state with its consumers needs some kilobytes.
const LONGEST: usize = 4 << 20;

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Sends one request; a status of 400 and more is an answer too, not a failure.
pub(crate) async fn send(
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Vec<u8>,
    limit: Duration,
) -> Result<Answer, Problem> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Problem::NoAnswer { url: url.to_owned(), source };
    let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(error.into()))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let exchange = async {
        let response = client.request(request).await.map_err(|error| failed(error.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(failed)?.to_bytes();
        Ok(Answer { status, body })
    };
    let late = || failed(format!("no answer within {} s", limit.as_secs_f32()).into());
    tokio::time::timeout(limit, exchange).await.map_err(|_| late())?
}

/// Whether `url` answers 2xx within `limit`.
pub(crate) async fn answers(url: &str, limit: Duration) -> bool {
    let answer = send(Method::GET, url, None, Vec::new(), limit).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}
