//! `/health`, `/ready` and `/metrics`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::pipeline::Status;

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
    status: Arc<Status>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(status)).with_graceful_shutdown(stop).await
}

fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(status)
}

async fn ready(State(status): State<Arc<Status>>) -> impl IntoResponse {
    if status.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: no broker answers, or draining\n")
    }
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
