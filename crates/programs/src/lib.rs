//! The functions' programs: found in what cargo reports of a build, and packed as Lambda takes them.
//!
//! The tool deploys what is made here and the benchmark measures it, so that a measured size is a deployed one. Nothing here
//! starts cargo or keeps files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use contracts::{Authorizer, EventRouter, EventTransformer, HealthChecker, StreamProcessor};
use serde::Deserialize;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The programs that run as Lambda functions, by name.
pub const FUNCTIONS: [&str; 5] =
    [Authorizer::NAME, EventRouter::NAME, EventTransformer::NAME, HealthChecker::NAME, StreamProcessor::NAME];

/// Cargo's profile for what runs in Lambda.
pub const LAMBDA_PROFILE: &str = "lambda";

/// The name under which Lambda's `provided` runtimes start a function.
const BOOTSTRAP: &str = "bootstrap";

/// What packing is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// The local platform, which waits for it and unpacks it at once.
    Fast,
    /// Lambda, which loads the zip with each new version.
    Small,
}

impl Packing {
    /// A word for file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Small => "small",
        }
    }

    /// Level of deflate.
    fn level(self) -> i64 {
        match self {
            Self::Fast => 1,
            Self::Small => 9,
        }
    }
}

/// A zip with one executable file `bootstrap`.
///
/// The bytes depend on the executable and the packing alone: fixed name, time and mode, one entry, one method.
///
/// # Errors
/// The executable is larger than a zip can hold.
pub fn zipped(code: &[u8], packing: Packing) -> ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(packing.level()))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)?;
    zip.write_all(code)?;
    Ok(zip.finish()?.into_inner())
}

/// One of cargo's messages, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The executables in what cargo prints with `--message-format=json`, by program.
pub fn executables_in(report: &str) -> BTreeMap<String, PathBuf> {
    let messages = report.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let executables = messages.filter(|message| message.reason == "compiler-artifact").filter_map(|message| {
        let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
        Some((target.name, message.executable?))
    });
    executables.collect()
}

/// Whether a surrounding cargo says by this variable something about its own package. A build of other packages must not
/// see it: some build scripts would run again because of it.
pub fn is_of_surrounding_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn executables_are_found_by_program_and_nothing_else_is() {
        let report = [
            r#"{"reason":"compiler-artifact","target":{"name":"events","kind":["lib"]},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"event-router","kind":["lib"]},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"event-router","kind":["bin"]},"executable":"/t/event-router"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"consumer","kind":["bin"]},"executable":"/t/consumer"}"#,
            r#"{"reason":"build-script-executed","package_id":"x"}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
        ]
        .join("\n");
        let found = |program: &str| (program.to_owned(), PathBuf::from(format!("/t/{program}")));
        assert_eq!(executables_in(&report), BTreeMap::from([found("consumer"), found("event-router")]));
    }

    #[test]
    fn the_zip_holds_one_executable_bootstrap_without_a_date() {
        for packing in [Packing::Fast, Packing::Small] {
            let bytes = zipped(b"code", packing).expect("packed");
            assert_eq!(bytes, zipped(b"code", packing).expect("packed"), "the same bytes each time");
            let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip");
            assert_eq!(archive.len(), 1);
            let mut file = archive.by_index(0).expect("one file");
            assert_eq!(file.name().expect("text"), "bootstrap");
            assert_eq!(file.unix_mode().expect("a mode") & 0o777, 0o755);
            assert_eq!(file.compression(), CompressionMethod::Deflated);
            assert_eq!(file.last_modified().expect("a date"), DateTime::default());
            let mut code = Vec::new();
            file.read_to_end(&mut code).expect("unpacked");
            assert_eq!(code, b"code");
        }
    }

    #[test]
    fn small_is_smaller() {
        let code: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7 % 251 * (n % 13)).to_le_bytes()).collect();
        let size = |packing| zipped(&code, packing).expect("packed").len();
        assert!(size(Packing::Small) < size(Packing::Fast));
    }
}
