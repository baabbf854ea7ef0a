//! Keeps the zip of an executable in a folder, so that an unchanged one is packed only once.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use programs::{Packing, zipped};
use ring::digest::{SHA256, digest};

use super::{Artifact, hex, hex_sha256};

/// Why an executable can't be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The executable can't be read.
    #[error("the executable of `{program}` can't be read from {}", .path.display())]
    Read {
        /// The program.
        program: String,
        /// The executable.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The zip can't be written.
    #[error("the packed code of `{program}` can't be written to {}", .path.display())]
    Write {
        /// The program.
        program: String,
        /// The zip.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The zip can't be put together.
    #[error("the code of `{program}` can't be packed")]
    Zip {
        /// The program.
        program: String,
        /// The reason.
        source: zip::result::ZipError,
    },
}

/// Packs the executable of `program` into `<folder>/<program>/<digest of the executable>-<packing>.zip`.
pub(super) fn pack(program: &str, executable: &Path, packing: Packing, folder: &Path) -> Result<Artifact, PackError> {
    let read = |source| PackError::Read { program: program.to_owned(), path: executable.to_owned(), source };
    let code = fs::read(executable).map_err(read)?;
    // Named by what goes in, so that an unchanged executable is packed only once.
    let path = folder.join(program).join(format!("{}-{}.zip", hex_sha256(&code), packing.as_str()));
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(_) => {
            let zip = |source| PackError::Zip { program: program.to_owned(), source };
            let bytes = zipped(&code, packing).map_err(zip)?;
            let write = |source| PackError::Write { program: program.to_owned(), path: path.clone(), source };
            write_whole(&path, &bytes).map_err(write)?;
            bytes
        }
    };
    let sha256 = digest(&SHA256, &bytes);
    Ok(Artifact {
        program: program.to_owned(),
        key: format!("functions/{program}/{}.zip", hex(sha256.as_ref())),
        digest: base64::engine::general_purpose::STANDARD.encode(sha256),
        size: bytes.len() as u64,
        path,
    })
}

/// Writes a file so that a killed run leaves the whole file or none.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_executable_gives_the_same_bytes_anywhere() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pack_in = |folder: &Path| {
            let executable = folder.join("event-router");
            fs::write(&executable, b"\x7fELF code").unwrap();
            let artifact = pack("event-router", &executable, Packing::Fast, &folder.join("packed")).unwrap();
            let again = pack("event-router", &executable, Packing::Fast, &folder.join("packed")).unwrap();
            assert_eq!(artifact, again);
            (artifact.key, artifact.digest, fs::read(artifact.path).unwrap())
        };
        let (key, digest, bytes) = pack_in(one.path());
        assert_eq!((key.clone(), digest.clone(), bytes.clone()), pack_in(two.path()));
        assert_eq!(key, format!("functions/event-router/{}.zip", hex_sha256(&bytes)));
        assert_eq!(digest, base64::engine::general_purpose::STANDARD.encode(ring::digest::digest(&SHA256, &bytes)));
    }
}
