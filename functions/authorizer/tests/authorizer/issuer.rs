//! An issuer that publishes keys, or fails to.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An issuer's key server on a free port of this machine.
pub(crate) struct Issuer {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    status: u16,
    /// Where else to ask, as a redirect says it.
    location: String,
    body: String,
    hangs: bool,
    requests: Vec<String>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { url, shared, server }
    }

    /// From now on these are the issuer's keys.
    pub(crate) fn publish(&self, entries: &[Value]) {
        self.answer(200, &json!({ "keys": entries }).to_string());
    }

    /// From now on this is the answer.
    pub(crate) fn answer(&self, status: u16, body: &str) {
        let mut shared = self.shared.lock().expect("not poisoned");
        (shared.status, shared.body) = (status, body.to_owned());
        shared.location.clear();
    }

    /// From now on the keys are told to be at `location`, where they are indeed.
    pub(crate) fn redirect(&self, location: &str) {
        let mut shared = self.shared.lock().expect("not poisoned");
        (shared.status, shared.location) = (302, location.to_owned());
    }

    /// From now on requests are taken and not answered.
    pub(crate) fn hang(&self) {
        self.shared.lock().expect("not poisoned").hangs = true;
    }

    /// From now on nobody listens there.
    pub(crate) async fn shut_down(&self) {
        self.server.abort();
        while !self.server.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// How often the keys were fetched.
    pub(crate) fn fetches(&self) -> usize {
        let requests = &self.shared.lock().expect("not poisoned").requests;
        assert!(requests.iter().all(|line| line == "GET /.well-known/jwks.json HTTP/1.1"), "{requests:?}");
        requests.len()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    // Dropping a connection would answer too.
    let mut held = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => break,
            }
        }
        let answer = {
            let mut shared = shared.lock().expect("not poisoned");
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            let elsewhere = !shared.location.is_empty() && line.contains(&shared.location);
            shared.requests.push(line);
            let Shared { status, location, body, .. } = &*shared;
            let status = if elsewhere { &200 } else { status };
            (!shared.hangs).then(|| {
                format!(
                    "HTTP/1.1 {status} Told\r\nlocation: {location}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
            })
        };
        let Some(answer) = answer else {
            held.push(stream);
            continue;
        };
        // Whether the client still wants it is its own business.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}
