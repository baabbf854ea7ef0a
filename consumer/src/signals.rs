//! SIGTERM and SIGINT: the first asks for a drain (also when one is under way for another reason), the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code after a second signal: 128 + 2, as shells report an interrupted program.
pub const INTERRUPTED: i32 = 130;

/// The signals that ask for an end.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// From now on the signals are caught.
    ///
    /// # Errors
    /// When the operating system refuses, which it doesn't in practice.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
