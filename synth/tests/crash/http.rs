//! One request, one answer.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(30);

/// A client that keeps its connections.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// A request to an emulated service, as root. The signature isn't looked at.
    pub(crate) async fn aws(
        &self,
        service: &str,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (StatusCode, Bytes) {
        let scope = format!("us-west-2/{service}/aws4_request");
        let signature =
            format!("AWS4-HMAC-SHA256 Credential=test/20260101/{scope}, SignedHeaders=host, Signature=unverified");
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", signature)
            .header("x-amz-date", "20260101T000000Z");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("a good request");
        let exchange = async {
            let response = self.0.request(request).await.unwrap_or_else(|error| panic!("{url}: {error}"));
            let status = response.status();
            let body = response.into_body().collect().await.unwrap_or_else(|error| panic!("{url}: {error}")).to_bytes();
            (status, body)
        };
        tokio::time::timeout(LIMIT, exchange).await.unwrap_or_else(|_| panic!("{url} takes too long"))
    }
}
