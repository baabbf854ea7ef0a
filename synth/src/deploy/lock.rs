//! One change of an environment at a time, from this checkout.
//!
//! The lock is a file's advisory lock, which the operating system releases whatever happens to the tool; the file's
//! content only says who holds it. It keeps two terminals of one machine apart, also before there is a platform or a bucket;
//! machines are kept apart by [`super::lease`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::ui::Ui;

/// How often one that waits looks.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(200);

/// The held lock; released when dropped.
#[derive(Debug)]
pub(crate) struct DeployLock {
    _file: File,
}

impl DeployLock {
    /// Takes the lock of `environment` for `command`, and waits up to `wait` while another command of this checkout has it.
    ///
    /// # Errors
    /// It is held all that time, or the state folder can't be written.
    pub(crate) async fn take(
        ui: &Ui,
        checkout: &Path,
        environment: &str,
        command: &str,
        wait: Duration,
    ) -> Result<Self, Error> {
        let folder = crate::local::state_root(checkout).join(environment);
        let path = folder.join("deploy.lock");
        fs::create_dir_all(&folder).map_err(unusable(&folder))?;
        let since = Instant::now();
        let mut said = false;
        loop {
            let other = match Self::try_take(&path, command)? {
                Ok(lock) => return Ok(lock),
                Err(other) => other,
            };
            if since.elapsed() >= wait {
                return Err(Error::refused(format!("environment `{environment}` is being changed by {other}")).hint(
                    "wait until that command has ended, or give `--wait` more time; a killed one holds nothing",
                ));
            }
            if !said {
                ui.status(&format!("waiting for {other}"));
                said = true;
            }
            tokio::time::sleep(LOOKED_AT_EVERY.min(wait)).await;
        }
    }

    /// Takes it, or says who has it.
    fn try_take(path: &Path, command: &str) -> Result<Result<Self, String>, Error> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(unusable(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is said on best effort: it may be about to write its name.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                return Ok(Err(if holder.is_empty() { "another command" } else { holder }.to_owned()));
            }
            Err(TryLockError::Error(source)) => return Err(unusable(path)(source)),
        }
        let holder = format!("`synth {command}`, process {}, since {}\n", std::process::id(), jiff::Timestamp::now());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(unusable(path))?;
        Ok(Ok(Self { _file: file }))
    }
}

fn unusable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| {
        Error::configuration(format!("the lock {} can't be used", path.display()))
            .caused_by(source)
            .hint("make sure that the checkout's `.tandem` folder can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::ui::Format;

    async fn take(checkout: &Path, environment: &str, command: &str, wait: Duration) -> Result<DeployLock, Error> {
        let (ui, _) = Ui::buffered(Format::Human);
        DeployLock::take(&ui, checkout, environment, command, wait).await
    }

    #[tokio::test]
    async fn the_second_is_refused_and_told_who_is_first() {
        let checkout = tempfile::tempdir().unwrap();
        let first = take(checkout.path(), "sandbox", "deploy", Duration::ZERO).await.unwrap();
        let error = take(checkout.path(), "sandbox", "destroy", Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains(&format!("`synth deploy`, process {}", std::process::id())), "{error}");
        take(checkout.path(), "other", "deploy", Duration::ZERO).await.unwrap();
        drop(first);
        take(checkout.path(), "sandbox", "destroy", Duration::ZERO).await.unwrap();
    }

    #[tokio::test]
    async fn the_second_waits_until_the_first_has_ended() {
        let checkout = tempfile::tempdir().unwrap();
        let first = take(checkout.path(), "sandbox", "deploy", Duration::ZERO).await.unwrap();
        let (ui, buffers) = Ui::buffered(Format::Human);
        let second = DeployLock::take(&ui, checkout.path(), "sandbox", "destroy", Duration::from_secs(600));
        let release = async {
            while !buffers.err().contains("waiting for `synth deploy`, process ") {
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        let (second, ()) = tokio::join!(second, release);
        second.unwrap();
        assert_eq!(buffers.err().matches("waiting").count(), 1);
    }

    /// The first may have the lock and not have written its name yet.
    #[tokio::test]
    async fn whoever_has_not_written_its_name_is_another_command() {
        let checkout = tempfile::tempdir().unwrap();
        let _first = take(checkout.path(), "sandbox", "deploy", Duration::ZERO).await.unwrap();
        let path = crate::local::state_root(checkout.path()).join("sandbox").join("deploy.lock");
        File::options().write(true).open(path).unwrap().set_len(0).unwrap();
        let error = take(checkout.path(), "sandbox", "destroy", Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().ends_with("is being changed by another command"), "{error}");
    }
}
