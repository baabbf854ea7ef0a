//! The consumer's binary, started for one test.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::tables::Tables;
use crate::world::{self, World, eventually};

/// A process that is killed with the test.
pub(crate) struct Program {
    child: Child,
    log: NamedTempFile,
    address: Option<SocketAddr>,
}

impl Program {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(world: &World, tables: &Tables, variables: &[(&str, &str)]) -> Self {
        let mut program = Self::spawn(world, tables, variables);
        eventually("the port", || {
            program.address = program.port().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            program.address.is_some()
        })
        .await;
        program
    }

    /// Starts it.
    pub(crate) fn spawn(world: &World, tables: &Tables, variables: &[(&str, &str)]) -> Self {
        let log = NamedTempFile::new().expect("a file");
        let client = world.client("unused");
        let brokers = client.get("bootstrap.servers").expect("set");
        let child = Command::new(env!("CARGO_BIN_EXE_consumer"))
            .env_clear()
            .envs([
                ("AWS_REGION", "us-west-2"),
                ("AWS_ACCESS_KEY_ID", "nobody"),
                ("AWS_SECRET_ACCESS_KEY", "nothing"),
                ("AWS_ENDPOINT_URL", &tables.url()),
                ("KAFKA_BROKERS", brokers),
                ("KAFKA_SECURITY", "plaintext"),
                ("SCHEMA_REGISTRY_URL", &world.registry.url()),
                ("SOURCE_ID", "shop"),
                ("SOURCE_GENERATION", "2"),
                ("CUSTOMERS_TABLE", "customers"),
                ("ORDERS_TABLE", "orders"),
                ("PRODUCTS_TABLE", "products"),
                ("AUTHORITY", "authority"),
                ("AUTHORITY_INTERVAL", "1s"),
                ("AUTHORITY_TIMEOUT", "1s"),
                ("HTTP_PORT", "0"),
                ("RUST_LOG", "info"),
            ])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.reopen().expect("the file"))
            .stderr(log.reopen().expect("the file"))
            .spawn()
            .expect("started");
        Self { child, log, address: None }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("text")
    }

    fn port(&self) -> Option<u16> {
        let log = self.log();
        let (_, after) = log.split_once("0.0.0.0:")?;
        after.split('"').next()?.parse().ok()
    }

    /// Asks it something.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        world::get(self.address.expect("it answers"), path).await
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process number"));
        kill(pid, Signal::SIGTERM).expect("it lives");
    }

    /// Waits for its end; its exit code.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(began.elapsed() < limit, "it goes on:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
