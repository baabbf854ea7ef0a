//! Running the tool, and checkouts to run it in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The answer as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Runs `synth` with the arguments of `line` in `folder`.
pub(crate) fn synth_in(folder: &Path, line: &str) -> Ended {
    ended(&mut command(folder, line))
}

/// Runs a command to its end.
pub(crate) fn ended(command: &mut Command) -> Ended {
    let output = command.output().expect("the tool can be started");
    Ended {
        code: output.status.code().expect("the tool was not killed"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs `synth` in this checkout.
pub(crate) fn synth(line: &str) -> Ended {
    synth_in(&root(), line)
}

/// `synth` with the arguments of `line`, without what the caller's shell may have set.
pub(crate) fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("COLUMNS", "100")
        .env_remove("TANDEM_ENV")
        .env_remove("TANDEM_STATE")
        .env_remove("TANDEM_EMULATOR_PORT")
        .env_remove("TANDEM_KAFKA_PORT")
        .env_remove("TANDEM_SCHEMA_REGISTRY_PORT")
        .env_remove("TANDEM_CONSUMER_PORT")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// This checkout's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder above").to_owned()
}

/// A checkout with copies of the committed environments and nothing else.
pub(crate) fn checkout() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").expect("a file");
    fs::create_dir_all(folder.path().join("environments")).expect("a folder");
    fs::create_dir_all(folder.path().join("docs/deeper")).expect("a folder");
    for name in ["sandbox", "staging", "production"] {
        let file = format!("environments/{name}.toml");
        fs::copy(root().join(&file), folder.path().join(&file)).expect("a copy");
    }
    folder
}

/// Replaces a part of an environment's file, which must be there.
pub(crate) fn edit(checkout: &TempDir, name: &str, from: &str, to: &str) {
    let path = checkout.path().join(format!("environments/{name}.toml"));
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{name}.toml has no `{from}`");
    fs::write(&path, text.replacen(from, to, 1)).expect("a file");
}
