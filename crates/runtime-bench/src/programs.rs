//! Where the programs are: built with the profile that is deployed, or in a folder that is given; and how large they are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use contracts::{Authorizer, EventRouter, EventTransformer, HealthChecker, StreamProcessor};
use serde::Deserialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::Error;

/// Every function's program.
pub const NAMES: [&str; 5] =
    [Authorizer::NAME, EventRouter::NAME, EventTransformer::NAME, HealthChecker::NAME, StreamProcessor::NAME];

/// The profile that is deployed.
const PROFILE: &str = "lambda";

/// The level of deflate with which `synth` packs what goes to AWS.
const LEVEL: i64 = 9;

/// The programs by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Builds all functions for this machine with the profile that is deployed. Cargo says on stderr how far it is.
    ///
    /// # Errors
    /// When they don't build.
    pub fn build() -> Result<Self, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        command.args(["build", "--profile", PROFILE, "--message-format=json-render-diagnostics"]);
        command.args(NAMES.iter().flat_map(|name| ["-p", name]));
        // What `cargo bench` says about this package isn't for that build; some build scripts would run again because of it.
        let own = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        };
        std::env::vars_os().filter(|(name, _)| own(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|source| Error::Start { program: cargo.into(), source })?;
        if !output.status.success() {
            return Err(Error::Build { status: output.status });
        }
        Self::all(executables_in(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The programs in `folder`, each under its name.
    ///
    /// # Errors
    /// When one isn't there.
    pub fn in_folder(folder: &Path) -> Result<Self, Error> {
        Self::all(NAMES.iter().map(|name| ((*name).to_owned(), folder.join(name))).collect())
    }

    /// Where a program is.
    ///
    /// # Errors
    /// When it isn't known.
    pub fn path(&self, name: &str) -> Result<&Path, Error> {
        self.0.get(name).map(PathBuf::as_path).ok_or_else(|| Error::NoProgram { program: name.to_owned() })
    }

    fn all(found: BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        match NAMES.iter().find(|name| !found.get(**name).is_some_and(|path| path.is_file())) {
            None => Ok(Self(found)),
            Some(missing) => Err(Error::NoProgram { program: (*missing).to_owned() }),
        }
    }
}

/// One of cargo's messages, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn executables_in(report: &str) -> BTreeMap<String, PathBuf> {
    let messages = report.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages.filter_map(|message| Some((message.target?.name, message.executable?))).collect()
}

/// Bytes of a program, and of the zip that Lambda gets. The zip depends on the program alone.
///
/// # Errors
/// When the program can't be read.
pub fn sizes(program: &Path) -> Result<(u64, u64), Error> {
    let code = fs::read(program).map_err(|source| Error::File { path: program.to_owned(), source })?;
    let packed = zipped(&code).map_err(|source| Error::Zip { program: program.to_owned(), source })?;
    Ok((code.len() as u64, packed.len() as u64))
}

/// As `synth` packs a function: one executable file `bootstrap`, without a date.
fn zipped(code: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", options)?;
    zip.write_all(code)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_by_name_and_nothing_else_is() {
        let report = [
            r#"{"reason":"compiler-artifact","target":{"name":"events","kind":["lib"]},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"event-router","kind":["bin"]},"executable":"/t/event-router"}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
        ]
        .join("\n");
        assert_eq!(
            executables_in(&report),
            BTreeMap::from([("event-router".to_owned(), PathBuf::from("/t/event-router"))])
        );
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Programs::in_folder(Path::new("/nowhere")).expect_err("nothing is there");
        assert!(error.to_string().contains("`authorizer`"), "{error}");
    }

    #[test]
    fn the_zip_depends_on_the_program_alone() {
        let code = b"code ".repeat(10_000);
        let packed = zipped(&code).expect("packed");
        assert_eq!(packed, zipped(&code).expect("packed"));
        assert!(packed.len() < code.len() / 10);
    }
}
