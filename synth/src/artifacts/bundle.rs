//! Packed functions in a folder that is carried from the machine that built them to the one that deploys them.
//!
//! `manifest.json` names each zip with its digest; whoever takes the folder up computes the digests anew, so that what is
//! deployed is what was built, or nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Artifact, Artifacts, hex};

/// The file that lists what the folder holds.
pub const MANIFEST: &str = "manifest.json";
/// The form of [`Manifest`].
const VERSION: u32 = 1;

/// What a folder of packed functions holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    functions: Vec<Listed>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    program: String,
    /// Below the manifest's folder, and the key in the artifact bucket.
    file: String,
    sha256: String,
    bytes: u64,
}

/// Why a folder of packed functions can't be written or taken up.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file can't be written.
    #[error("{} can't be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file can't be read.
    #[error("{} can't be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The manifest isn't one.
    #[error("{} is no manifest of packed functions", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// The manifest is of another version of the tool.
    #[error("{} has version {version}, and this tool reads version {VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// A name leads out of the folder.
    #[error("`{file}` in {} is no file below it", .path.display())]
    Outside {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        file: String,
    },
    /// Not what was built.
    #[error("{} has the SHA-256 {found}, and the manifest says {expected}", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What its bytes give.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A function that is deployed is missing.
    #[error("{} lists no code for `{program}`", .path.display())]
    Missing {
        /// The manifest.
        path: PathBuf,
        /// The function.
        program: String,
    },
}

/// Copies the zips into `folder` and lists them there. The manifest is written last: without it there is nothing to take up.
///
/// # Errors
/// A file can't be read or written.
pub fn write(artifacts: &Artifacts, folder: &Path) -> Result<(), BundleError> {
    let mut functions = Vec::new();
    for artifact in artifacts.iter() {
        let path = folder.join(&artifact.key);
        let bytes = read(&artifact.path)?;
        put(&path, &bytes)?;
        let sha256 = hex(digest(&SHA256, &bytes).as_ref());
        functions.push(Listed {
            program: artifact.program.clone(),
            file: artifact.key.clone(),
            sha256,
            bytes: artifact.size,
        });
    }
    let manifest = serde_json::to_vec_pretty(&Manifest { version: VERSION, functions });
    let path = folder.join(MANIFEST);
    let manifest = manifest.map_err(|source| BundleError::Manifest { path: path.clone(), source })?;
    put(&path, &manifest)
}

/// Takes up what [`write`] wrote; `programs` must all be there.
///
/// # Errors
/// The folder isn't complete, or a zip isn't the one that was built.
pub fn read_all(folder: &Path, programs: &[&str]) -> Result<Artifacts, BundleError> {
    let path = folder.join(MANIFEST);
    let manifest: Manifest =
        serde_json::from_slice(&read(&path)?).map_err(|source| BundleError::Manifest { path: path.clone(), source })?;
    if manifest.version != VERSION {
        return Err(BundleError::Version { path, version: manifest.version });
    }
    let artifacts = manifest.functions.into_iter().map(|listed| {
        let inside = Path::new(&listed.file).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(BundleError::Outside { path: path.clone(), file: listed.file });
        }
        let zip = folder.join(&listed.file);
        let bytes = read(&zip)?;
        let sha256 = digest(&SHA256, &bytes);
        let found = hex(sha256.as_ref());
        // The file's name becomes the key in the bucket, and a key never stands for other bytes.
        if found != listed.sha256 || listed.file != format!("functions/{}/{found}.zip", listed.program) {
            return Err(BundleError::Changed { path: zip, found, expected: listed.sha256 });
        }
        Ok(Artifact {
            program: listed.program,
            key: listed.file,
            digest: base64::engine::general_purpose::STANDARD.encode(sha256),
            size: bytes.len() as u64,
            path: zip,
        })
    });
    let artifacts: Artifacts = artifacts.collect::<Result<_, _>>()?;
    match programs.iter().find(|program| artifacts.get(program).is_none()) {
        None => Ok(artifacts),
        Some(program) => Err(BundleError::Missing { path, program: (*program).to_owned() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    fs::read(path).map_err(|source| BundleError::Read { path: path.to_owned(), source })
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    super::pack::write_whole(path, bytes).map_err(|source| BundleError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(folder: &Path) -> Artifacts {
        let zip = folder.join("built.zip");
        fs::write(&zip, b"code").unwrap();
        let sha256 = digest(&SHA256, b"code");
        let artifact = Artifact {
            program: "event-router".to_owned(),
            key: format!("functions/event-router/{}.zip", hex(sha256.as_ref())),
            digest: base64::engine::general_purpose::STANDARD.encode(sha256),
            size: 4,
            path: zip,
        };
        Artifacts::from_iter([artifact])
    }

    fn error(folder: &Path, programs: &[&str]) -> String {
        read_all(folder, programs).unwrap_err().to_string().replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn what_was_built_is_taken_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let (built, out) = (bundle(folder.path()), folder.path().join("out"));
        write(&built, &out).unwrap();
        let taken = read_all(&out, &["event-router"]).unwrap();
        let (one, other) = (built.get("event-router").unwrap(), taken.get("event-router").unwrap());
        assert_eq!((&one.key, &one.digest, one.size), (&other.key, &other.digest, other.size));
        assert_eq!(fs::read(&other.path).unwrap(), b"code");
        assert_eq!(error(&out, &["authorizer"]), "DIR/manifest.json lists no code for `authorizer`");
    }

    #[test]
    fn anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (built, out) = (bundle(folder.path()), folder.path().join("out"));
        assert_eq!(error(&out, &[]), "DIR/manifest.json can't be read");
        write(&built, &out).unwrap();
        let key = &built.get("event-router").unwrap().key;
        fs::write(out.join(key), b"c0de").unwrap();
        assert!(error(&out, &[]).contains("and the manifest says"), "{}", error(&out, &[]));
        fs::remove_file(out.join(key)).unwrap();
        assert!(error(&out, &[]).ends_with(".zip can't be read"));
        let manifest = fs::read_to_string(out.join(MANIFEST)).unwrap();
        for (wrong, expected) in [
            (manifest.replace("\"version\": 1", "\"version\": 2"), "has version 2, and this tool reads version 1"),
            (manifest.replace("functions/event-router", "../event-router"), "is no file below it"),
            ("{}".to_owned(), "is no manifest of packed functions"),
        ] {
            fs::write(out.join(MANIFEST), wrong).unwrap();
            assert!(error(&out, &[]).contains(expected), "{}", error(&out, &[]));
        }
    }
}
