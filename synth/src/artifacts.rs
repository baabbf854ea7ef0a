//! The functions' code, built and packed: the same sources give the same bytes, in one checkout with one toolchain.
//! Elsewhere they may differ, because the compiler notes the paths of checkout and cargo's folder in what it builds.
//!
//! An artifact is named by the digest of its bytes, so an upload never changes what an earlier deployment runs, and
//! "is it there already" is one question. Uploading and deploying belong to [`crate::deploy`].

mod build;
pub mod bundle;
mod pack;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use programs::Packing;
use ring::digest::{SHA256, digest};

pub(crate) use build::LAMBDA_TRIPLE;
pub use build::{Built, Target, build};
pub use pack::PackError;

/// The program that consumes the change topics.
pub const CONSUMER: &str = "consumer";

/// The code of one function, packed for Lambda.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The program: `event-router`.
    pub program: String,
    /// Its key in an artifact bucket: `functions/event-router/<sha256>.zip`.
    pub key: String,
    /// Base64 SHA-256 of the zip, which Lambda reports as `CodeSha256`.
    pub digest: String,
    /// Bytes of the zip.
    pub size: u64,
    /// The zip file.
    pub path: PathBuf,
}

impl Artifact {
    /// The bytes of the zip.
    ///
    /// # Errors
    /// The file can't be read.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        tokio::fs::read(&self.path).await
    }
}

/// The packed functions, by program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts(BTreeMap<String, Artifact>);

impl Artifacts {
    /// Packs each built function into a zip below `folder`; a zip that is there already is taken as it is.
    ///
    /// # Errors
    /// An executable can't be read or a zip can't be written.
    pub fn pack(built: &Built, folder: &Path) -> Result<Self, PackError> {
        let packing = match built.target {
            Target::Host => Packing::Fast,
            Target::Lambda => Packing::Small,
        };
        let packed = built.functions().map(|(program, executable)| {
            let artifact = pack::pack(program, executable, packing, folder)?;
            Ok((program.to_owned(), artifact))
        });
        Ok(Self(packed.collect::<Result<_, _>>()?))
    }

    /// Removes earlier zips of the same programs.
    ///
    /// What can't be removed stays: it costs disk space and nothing else.
    pub fn remove_others(&self) {
        for artifact in self.iter() {
            let Some(entries) = artifact.path.parent().and_then(|folder| fs::read_dir(folder).ok()) else { continue };
            let zips = entries.flatten().map(|entry| entry.path());
            for zip in zips.filter(|path| *path != artifact.path && path.extension().is_some_and(|it| it == "zip")) {
                let _ = fs::remove_file(zip);
            }
        }
    }

    /// The artifact of a program.
    pub fn get(&self, program: &str) -> Option<&Artifact> {
        self.0.get(program)
    }

    /// All artifacts, in order of program.
    pub fn iter(&self) -> impl Iterator<Item = &Artifact> {
        self.0.values()
    }

    /// Keys in an artifact bucket, by program.
    pub fn keys(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(program, artifact)| (program.clone(), artifact.key.clone())).collect()
    }
}

impl FromIterator<Artifact> for Artifacts {
    fn from_iter<I: IntoIterator<Item = Artifact>>(artifacts: I) -> Self {
        Self(artifacts.into_iter().map(|artifact| (artifact.program.clone(), artifact)).collect())
    }
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_zips_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["old.zip", "new.zip", "notes.txt"] {
            fs::write(path(name), name).expect("writable");
        }
        let artifact = Artifact {
            program: "event-router".to_owned(),
            key: String::new(),
            digest: String::new(),
            size: 7,
            path: path("new.zip"),
        };
        Artifacts::from_iter([artifact]).remove_others();
        assert!(path("new.zip").exists() && path("notes.txt").exists());
        assert!(!path("old.zip").exists());
    }
}
