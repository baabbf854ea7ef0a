//! File helpers of the local platform: atomic writing, locks, comparing, free space.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Writes `value` so that a reader sees the old or the new content, never a part; only the owner may read it.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_vec_pretty(value).map_err(|source| Problem::Json { path: path.to_owned(), source })?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(name);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.write_all(b"\n")?;
        fs::rename(&temporary, path)
    };
    write().map_err(Problem::file("write", path))
}

/// Reads what [`write_json`] wrote; `None` when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Problem> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Problem::File { action: "read", path: path.to_owned(), source });
        }
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| Problem::Json { path: path.to_owned(), source })
}

/// An exclusive lock on a file; released when dropped, and by the operating system when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock unless another process holds it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Problem> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Problem::file("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Problem::File { action: "lock", path: path.to_owned(), source }),
        }
    }

    /// Waits for the lock; calls `on_wait` once if it isn't free at once.
    pub(crate) async fn take(path: &Path, on_wait: impl FnOnce()) -> Result<Self, Problem> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        on_wait();
        loop {
            // Asking again instead of blocking in the kernel keeps the wait cancellable.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
        }
    }
}

/// Whether two files hold the same bytes; a missing file equals nothing.
pub(crate) fn same_content(one: &Path, other: &Path) -> Result<bool, Problem> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Problem::File { action: "read", path: path.to_owned(), source }),
    };
    match (length(one)?, length(other)?) {
        (Some(a), Some(b)) if a == b => {}
        _ => return Ok(false),
    }
    let mut first = File::open(one).map_err(Problem::file("read", one))?;
    let mut second = File::open(other).map_err(Problem::file("read", other))?;
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = first.read(&mut a).map_err(Problem::file("read", one))?;
        if count == 0 {
            return Ok(true);
        }
        match second.read_exact(&mut b[..count]) {
            Ok(()) if a[..count] == b[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(source) => {
                return Err(Problem::File { action: "read", path: other.to_owned(), source });
            }
        }
    }
}

/// Free space for ordinary users on the file system of `path`, in MiB; `None` where it can't be asked.
pub(crate) fn free_mib(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|folder| folder.exists())?;
    let status = statvfs(existing).ok()?;
    // The field widths differ between platforms.
    #[allow(clippy::useless_conversion, reason = "a no-op on Linux, needed on macOS")]
    let blocks = u64::from(status.blocks_available());
    #[allow(clippy::useless_conversion, reason = "a no-op on Linux, needed on macOS")]
    let size = u64::from(status.fragment_size());
    Some(blocks.saturating_mul(size) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_and_leaves_no_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        assert_eq!(read_json::<Vec<u8>>(&path).expect("readable"), None);
        write_json(&path, &vec![1, 2]).expect("writable");
        write_json(&path, &vec![3]).expect("writable");
        assert_eq!(read_json::<Vec<u8>>(&path).expect("readable"), Some(vec![3]));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        fs::write(&path, "{").expect("writable");
        assert!(matches!(read_json::<Vec<u8>>(&path), Err(Problem::Json { .. })));
    }

    #[test]
    fn a_lock_excludes_a_second_holder_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let held = Lock::try_take(&path).expect("no failure").expect("free");
        assert!(Lock::try_take(&path).expect("no failure").is_none());
        drop(held);
        assert!(Lock::try_take(&path).expect("no failure").is_some());
    }

    #[test]
    fn content_is_compared_and_not_only_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, vec![7; 3 << 20]).expect("writable");
        assert!(!same_content(&a, &b).expect("readable"), "a missing file equals nothing");
        fs::write(&b, vec![7; 3 << 20]).expect("writable");
        assert!(same_content(&a, &b).expect("readable"));
        let mut changed = vec![7; 3 << 20];
        changed[(3 << 20) - 1] = 8;
        fs::write(&b, changed).expect("writable");
        assert!(!same_content(&a, &b).expect("readable"));
    }
}
