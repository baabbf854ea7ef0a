//! `/health`, `/ready` and `/metrics`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::presence::Ready;

/// Opens the port; 0 takes a free one.
///
/// # Errors
/// When the port is taken.
pub async fn listen(port: u16) -> Result<TcpListener, ListenError> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    TcpListener::bind(address).await.map_err(|source| ListenError { port, source })
}

/// Answers until `stop` is done.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    ready: Arc<impl Ready>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(ready)).with_graceful_shutdown(stop).await
}

fn router<R: Ready>(ready: Arc<R>) -> Router {
    Router::new()
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(readiness::<R>))
        .route("/metrics", get(metrics))
        .with_state(ready)
}

async fn readiness<R: Ready>(State(ready): State<Arc<R>>) -> impl IntoResponse {
    let readiness = ready.readiness();
    let status = if readiness.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{}\n", readiness.text))
}

async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, telemetry::prometheus::CONTENT_TYPE)], telemetry::prometheus::render())
}

/// The port can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("port {port} can't be opened; set `HTTP_PORT` to a free one, or to 0 for any")]
pub struct ListenError {
    port: u16,
    source: std::io::Error,
}
