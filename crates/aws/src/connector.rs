//! Connections to AWS and to whoever else speaks HTTP: one kind for all clients.
//!
//! **Roots are compiled in** (Mozilla's list, the crate `webpki-roots`): reading and parsing the machine's own took
//! longer than the rest of a function's start. A release that is old trusts what was trusted when it was built. Where other
//! roots are wanted, for a proxy that looks into TLS or an endpoint with a certificate of one's own, `SSL_CERT_FILE` or
//! `SSL_CERT_DIR` names them, and they are read at the start instead.
//!
//! The SDK's own HTTP client can take roots only as text that it parses, wraps each request in layers for proxies and
//! timeouts, and offers HTTP/2. This one is a pool of HTTP/1.1 connections.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Variables that name other roots than those compiled in.
const OWN_ROOTS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Opens connections with TLS for `https` and without it for `http`.
///
/// `connect_timeout` is for reaching the other side; TLS comes after it.
///
/// # Errors
/// When `SSL_CERT_FILE` or `SSL_CERT_DIR` is set and gives no certificate.
pub fn https_connector(connect_timeout: Duration) -> io::Result<HttpsConnector<TcpConnector>> {
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    let has_own = OWN_ROOTS.iter().any(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()));
    let builder = HttpsConnectorBuilder::new();
    let builder = if has_own { builder.with_native_roots()? } else { builder.with_webpki_roots() };
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}

/// A pool of connections for the SDK's clients. How long an answer may take is limited where it is waited for: each client
/// has a limit for its attempts.
pub(crate) struct Pool {
    /// Without roots nobody can be trusted, and every call fails with the reason.
    client: Result<Client<HttpsConnector<TcpConnector>, SdkBody>, Arc<io::Error>>,
}

impl Pool {
    /// `connect_timeout` as for [`https_connector`].
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let connector = https_connector(connect_timeout).inspect_err(|error| {
            tracing::error!(error = error as &dyn Error, "no root certificates in `SSL_CERT_FILE` or `SSL_CERT_DIR`");
        });
        let client = connector.map(|connector| Client::builder(TokioExecutor::new()).build(connector));
        Self { client: client.map_err(Arc::new) }
    }
}

impl HttpConnector for Pool {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let client = match &self.client {
            Ok(client) => client,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(Arc::clone(error).into()))),
        };
        let answer = client.request(request);
        HttpConnectorFuture::new(async move {
            let response = answer.await.map_err(connector_error)?.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// What the SDK decides about retries by: a request that is wrong in itself is the caller's fault, and what goes wrong on
/// the way may go well the next time.
fn connector_error(error: legacy::Error) -> ConnectorError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref::<hyper::Error>() {
            Some(hyper) if hyper.is_user() => return ConnectorError::user(error.into()),
            _ => cause = inner.source(),
        }
    }
    ConnectorError::io(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn called(url: &str) -> Result<HttpResponse, ConnectorError> {
        let pool = Pool::new(Duration::from_secs(1));
        let mut request = HttpRequest::new(SdkBody::from("{}"));
        request.set_method("POST").expect("a method");
        request.set_uri(url).expect("a URL");
        pool.call(request).await
    }

    /// A server that reads one request, answers with these bytes and closes the connection.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.expect("a request") > 0);
            stream.write_all(answer.as_bytes()).await.expect("somebody reads");
        });
        url
    }

    #[tokio::test]
    async fn an_answer_comes_back_with_its_status_and_headers() {
        let url = server("HTTP/1.1 418 Teapot\r\nx-amzn-errortype: A\r\ncontent-length: 2\r\n\r\n{}").await;
        let response = called(&url).await.expect("answered");
        assert_eq!((response.status().as_u16(), response.headers().get("x-amzn-errortype")), (418, Some("A")));
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        assert!(called("http://127.0.0.1:1/").await.expect_err("nobody listens").is_io());
        assert!(called(&server("").await).await.expect_err("closed").is_io());
        assert!(called("ftp://127.0.0.1/").await.is_err());
        // A server without TLS: what is sent to it must not be taken for plain text.
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(called(&url.replace("http:", "https:")).await.is_err());
    }
}
