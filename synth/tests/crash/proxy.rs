//! A reverse proxy in front of DynamoDB that lets things go wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::faults::{Fate, Faults};

/// A running proxy; ends when it is dropped.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) url: String,
    faults: Arc<Mutex<Faults>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: Arc<str>,
    faults: Arc<Mutex<Faults>>,
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

impl Proxy {
    /// Starts a proxy on a free port for the endpoint `upstream`.
    pub(crate) async fn start(upstream: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let faults = Arc::new(Mutex::new(Faults::new(seed)));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let shared = Shared {
            client: Client::builder(TokioExecutor::new()).build(connector),
            upstream: upstream.into(),
            faults: Arc::clone(&faults),
        };
        Self { url, faults, task: tokio::spawn(serve(listener, shared)) }
    }

    /// What goes wrong, and what did.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, shared: Shared) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        let answer = service_fn(move |request| answer(shared.clone(), request));
        // An error is what a cut connection is here.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(shared: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let fate = shared.faults.lock().unwrap_or_else(PoisonError::into_inner).fate();
    match fate {
        Fate::Passed => pass_on(&shared, request).await,
        Fate::Refused(refusal) => {
            let (status, code) = refusal.answer();
            Ok(json(status, format!(r#"{{"__type":"{code}","message":"the test's proxy says so"}}"#)))
        }
        Fate::CutBefore => Err(Cut),
        Fate::CutAfter => {
            pass_on(&shared, request).await?;
            Err(Cut)
        }
        Fate::Late(pause) => {
            let response = pass_on(&shared, request).await;
            tokio::time::sleep(pause).await;
            response
        }
        Fate::Swallowed => Ok(json(200, "{}".to_owned())),
    }
}

fn json(status: u16, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/x-amz-json-1.0");
    response.body(Full::new(body.into())).expect("invariant: a good status and header")
}

async fn pass_on(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("{}{path}", shared.upstream).parse::<Uri>().map_err(|_| Cut)?;
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let response = shared.client.request(Request::from_parts(head, Full::new(body))).await.map_err(|_| Cut)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}
