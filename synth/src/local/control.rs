//! The supervisor's control interface: HTTP on the loopback interface, with a token from the state file.
//!
//! Translates requests into messages to the supervisor; decides nothing itself.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::{Json, Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Router, body::Body};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::state::{Launch, State, Topic};
use super::supervisor::Message;
use super::topics;

/// How long the broker may take to accept new topics.
const TOPICS_LIMIT: Duration = Duration::from_secs(20);

/// What a caller must know to give orders; doesn't print.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// 256 bits from two random identifiers.
    pub(crate) fn random() -> Self {
        let digest = Sha256::new().chain_update(uuid::Uuid::new_v4()).chain_update(uuid::Uuid::new_v4()).finalize();
        let mut text = String::with_capacity(64);
        for byte in digest.iter() {
            // Writing into a string can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone)]
struct Control {
    supervisor: mpsc::Sender<Message>,
    brokers: String,
}

/// The interface's routes.
pub(crate) fn router(supervisor: mpsc::Sender<Message>, token: Token, brokers: String) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/consumer", put(consumer))
        .route("/topics", post(create_topics))
        .route("/redeployed", post(redeployed))
        .layer(middleware::from_fn_with_state(token, check_token))
        .with_state(Control { supervisor, brokers })
}

async fn check_token(Shared(token): Shared<Token>, request: Request<Body>, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|given| given.strip_prefix("Bearer ")) == Some(token.as_str()) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "the token in the state file is needed").into_response()
    }
}

async fn status(Shared(control): Shared<Control>) -> Result<Json<State>, Ending> {
    control.ask(Message::Status).await.map(Json)
}

async fn consumer(Shared(control): Shared<Control>, Json(launch): Json<Launch>) -> Result<(), Ending> {
    control.ask(|reply| Message::Consumer(Box::new(launch), reply)).await
}

async fn create_topics(Shared(control): Shared<Control>, Json(topics): Json<Vec<Topic>>) -> Response {
    if let Err(problem) = topics::ensure(&control.brokers, &topics, TOPICS_LIMIT).await {
        return (StatusCode::BAD_GATEWAY, problem.to_string()).into_response();
    }
    control.ask(|reply| Message::Topics(topics, reply)).await.into_response()
}

async fn redeployed(Shared(control): Shared<Control>, Json(lost_at): Json<String>) -> Result<(), Ending> {
    control.ask(|reply| Message::Redeployed(lost_at, reply)).await
}

/// The supervisor is ending and takes no orders.
struct Ending;

impl IntoResponse for Ending {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, "the supervisor is ending").into_response()
    }
}

impl Control {
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Ending> {
        let (sender, receiver) = oneshot::channel();
        self.supervisor.send(message(sender)).await.map_err(|_| Ending)?;
        receiver.await.map_err(|_| Ending)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;
    use crate::local::http;

    #[tokio::test]
    async fn without_the_token_nothing_is_told_and_with_it_an_ending_supervisor_says_so() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let token = Token::random();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/status", listener.local_addr().expect("bound"));
        let app = router(sender, token.clone(), String::new());
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        for (given, expected) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some("x"), StatusCode::UNAUTHORIZED),
            (Some(token.as_str()), StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let answer = http::send(Method::GET, &url, given, Vec::new(), Duration::from_secs(5)).await;
            assert_eq!(answer.expect("it answers").status, expected);
        }
        server.abort();
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, other) = (Token::random(), Token::random());
        assert_eq!(one.as_str().len(), 64);
        assert_ne!(one.as_str(), other.as_str());
    }
}
