//! One deployment of an environment at a time, from this checkout.
//!
//! The lock is a file's advisory lock, which the operating system releases whatever happens to the tool; the file's
//! content only says who holds it. It keeps two terminals of one machine apart. Two machines that deploy to AWS at the
//! same time are kept apart by CloudFormation, stack by stack, and not by this.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The held lock; released when dropped.
#[derive(Debug)]
pub(crate) struct DeployLock {
    _file: File,
}

impl DeployLock {
    /// Takes the lock of `environment` for `command`.
    ///
    /// # Errors
    /// Another command of this checkout holds it, or the state folder can't be written.
    pub(crate) fn take(checkout: &Path, environment: &str, command: &str) -> Result<Self, Error> {
        let folder = crate::local::state_root(checkout).join(environment);
        let path = folder.join("deploy.lock");
        let failed = |path: &Path| {
            let path: PathBuf = path.to_owned();
            move |source: std::io::Error| {
                Error::configuration(format!("the lock {} can't be used", path.display()))
                    .caused_by(source)
                    .hint("make sure that the checkout's `.tandem` folder can be written")
            }
        };
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is said on best effort: the refusal stands anyway.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::refused(format!(
                    "environment `{environment}` is being changed by {}",
                    holder.trim()
                ))
                .hint("wait until that command has ended; a killed one holds nothing"));
            }
            Err(TryLockError::Error(source)) => return Err(failed(&path)(source)),
        }
        let holder = format!("`synth {command}`, process {}, since {}\n", std::process::id(), jiff::Timestamp::now());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(failed(&path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_second_is_refused_and_told_who_is_first() {
        let checkout = tempfile::tempdir().unwrap();
        let first = DeployLock::take(checkout.path(), "sandbox", "deploy").unwrap();
        let error = DeployLock::take(checkout.path(), "sandbox", "destroy").unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains(&format!("`synth deploy`, process {}", std::process::id())), "{error}");
        DeployLock::take(checkout.path(), "other", "deploy").unwrap();
        drop(first);
        DeployLock::take(checkout.path(), "sandbox", "destroy").unwrap();
    }
}
