//! What the broker's clients connect to: passes bytes on, and cuts every connection when it is closed.
//!
//! The broker is killed behind a closed gate, half a second after the last byte reached it. Killed in the middle of a request,
//! Tansu 0.6.0 has lost a batch that it acknowledged to an idempotent producer (12 messages of 4,900, in one run of two): it
//! keeps the producer's sequence before the batch and takes the repetition for one that it has. No consumer can make up for
//! that, and dead letters go through such a producer too. The clients see the same either way: connections end in the middle
//! of requests, nobody answers for a while, and then a broker does that knows only what it had written.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running gate; ends when it is dropped.
pub(crate) struct Gate {
    /// Where it listens: host and port.
    pub(crate) address: String,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    /// Starts an open gate on a free port before `upstream`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (open, is_open) = watch::channel(true);
        Self { address, open, task: tokio::spawn(serve(listener, upstream.into(), is_open)) }
    }

    /// Cuts every connection and lets no new one through, or lets new ones through again.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn serve(listener: TcpListener, upstream: Arc<str>, is_open: watch::Receiver<bool>) {
    loop {
        let Ok((mut client, _)) = listener.accept().await else { continue };
        let (upstream, mut is_open) = (Arc::clone(&upstream), is_open.clone());
        tokio::spawn(async move {
            let pass_on = async {
                let mut server = TcpStream::connect(&*upstream).await?;
                // Kafka's requests are small and wait for each other.
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await
            };
            // Whatever ends it, both connections end.
            tokio::select! {
                biased;
                _ = is_open.wait_for(|open| !*open) => {}
                _ = pass_on => {}
            }
        });
    }
}
