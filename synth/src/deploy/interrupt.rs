//! Ends work in order when someone asks the tool to end: Ctrl-C, or SIGTERM as a runner sends it.
//!
//! Whoever listens once takes the signals away from the operating system for good, so from then on everything that may
//! take long has to listen.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Kind};

/// Does `work` until it ends or a signal asks for the end.
///
/// # Errors
/// Those of the work, or that it was broken off.
pub(crate) async fn until_asked_to_end<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let listen = |kind| signal(kind).map_err(|error| Error::internal("signals can't be listened to").caused_by(error));
    let (mut interrupted, mut terminated) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    until(work, interrupted.recv(), terminated.recv()).await
}

/// Does `work` until it or one of the signals is there.
async fn until<T>(
    work: impl Future<Output = Result<T, Error>>,
    interrupted: impl Future,
    terminated: impl Future,
) -> Result<T, Error> {
    tokio::select! {
        // What has ended has ended, whatever was asked for at the same moment.
        biased;
        outcome = work => outcome,
        _ = interrupted => Err(broken_off("Ctrl-C")),
        _ = terminated => Err(broken_off("SIGTERM")),
    }
}

fn broken_off(by: &str) -> Error {
    Error::new(Kind::Interrupted, format!("the command was ended by {by}"))
        .detail("what CloudFormation has begun goes on without the tool")
        .hint("run the command again: it waits for what still runs and carries on from there")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn work_goes_on_until_it_or_a_signal_is_there() {
        let done = async || Ok::<u8, Error>(7);
        assert_eq!(until(done(), pending::<()>(), pending::<()>()).await.unwrap(), 7);
        assert_eq!(until(done(), ready(()), ready(())).await.unwrap(), 7);
        let error = until(pending::<Result<u8, Error>>(), ready(()), pending::<()>()).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains("Ctrl-C")), (Kind::Interrupted, true));
        let error = until(pending::<Result<u8, Error>>(), pending::<()>(), ready(())).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains("SIGTERM")), (Kind::Interrupted, true));
    }
}
