//! Builds the programs with cargo and finds the executables in what cargo reports.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use programs::{FUNCTIONS, LAMBDA_PROFILE, executables_in, is_of_surrounding_package};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::CONSUMER;
use crate::error::{Error, Kind};
use crate::ui::Ui;

/// The Rust target that Lambda's Graviton processors run.
pub(crate) const LAMBDA_TRIPLE: &str = "aarch64-unknown-linux-gnu";

/// How many lines of a build that failed are shown to who asked for errors only.
const LAST_MESSAGES: usize = 200;

/// Where the built programs will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// On this machine, quickly built: the local platform.
    Host,
    /// In Lambda on arm64, optimised.
    Lambda,
}

/// Executables, by program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Where they will run.
    pub target: Target,
    executables: BTreeMap<String, PathBuf>,
}

impl Built {
    /// The executable of a program.
    pub fn executable(&self, program: &str) -> Option<&Path> {
        self.executables.get(program).map(PathBuf::as_path)
    }

    /// The functions: program and executable.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &Path)> {
        let functions = self.executables.iter().filter(|(program, _)| FUNCTIONS.contains(&program.as_str()));
        functions.map(|(program, executable)| (program.as_str(), executable.as_path()))
    }
}

/// Builds the functions, and for the host the consumer too (on AWS it is a container image).
///
/// # Errors
/// Cargo can't be started, or the code doesn't compile (what it takes is [`crate::doctor`]'s matter); cargo's own messages have been
/// shown by then.
pub async fn build(ui: &Ui, checkout: &Path, target: Target) -> Result<Built, Error> {
    let programs: Vec<&str> = match target {
        Target::Host => FUNCTIONS.into_iter().chain([CONSUMER]).collect(),
        Target::Lambda => FUNCTIONS.to_vec(),
    };
    let mut command = cargo(checkout);
    command.args(["build", "--message-format=json-render-diagnostics"]);
    for program in &programs {
        command.args(["-p", program]);
    }
    if target == Target::Lambda {
        command.args(["--profile", LAMBDA_PROFILE, "--target", LAMBDA_TRIPLE]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let start = |source: std::io::Error| {
        Error::new(Kind::Configuration, "cargo can't be started to build the programs")
            .caused_by(source)
            .hint("install Rust with rustup, see https://rustup.rs, and make sure that `cargo` is on the PATH")
    };
    let mut child = command.spawn().map_err(start)?;
    let (reported, messages) = tokio::join!(report_of(child.stdout.take()), show(ui, child.stderr.take()));
    let status = child.wait().await.map_err(start)?;
    if !status.success() {
        // Whoever asked for errors only gets these.
        for line in messages.iter().filter(|_| ui.is_quiet()) {
            ui.alarm("cargo", line);
        }
        return Err(Error::new(Kind::Configuration, format!("the programs don't build: cargo ended with {status}"))
            .hint("the compiler's messages stand above"));
    }
    let executables = executables_in(&reported.map_err(start)?);
    match programs.iter().find(|program| !executables.contains_key(**program)) {
        None => Ok(Built { target, executables }),
        Some(missing) => Err(Error::new(Kind::Internal, format!("cargo reports no executable for `{missing}`"))),
    }
}

/// Cargo in the checkout, without what a surrounding `cargo run` says about the tool's own package.
fn cargo(checkout: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(checkout);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_surrounding_package(name)) {
        command.env_remove(name);
    }
    command
}

async fn report_of(stdout: Option<tokio::process::ChildStdout>) -> std::io::Result<String> {
    let mut report = String::new();
    if let Some(mut stdout) = stdout {
        stdout.read_to_string(&mut report).await?;
    }
    Ok(report)
}

/// Shows cargo's progress and the compiler's messages; gives the last of them.
async fn show(ui: &Ui, stderr: Option<tokio::process::ChildStderr>) -> VecDeque<String> {
    let mut last = VecDeque::new();
    let Some(stderr) = stderr else { return last };
    let mut lines = BufReader::new(stderr).lines();
    // What can't be read (no UTF-8) is not worth stopping a build for.
    while let Ok(Some(line)) = lines.next_line().await {
        ui.prefixed("cargo", line.trim_end());
        if last.len() == LAST_MESSAGES {
            last.pop_front();
        }
        last.push_back(line.trim_end().to_owned());
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_from_other_programs() {
        let executable = |program: &str| (program.to_owned(), PathBuf::from(format!("/t/{program}")));
        let executables = BTreeMap::from(["consumer", "event-router", "events"].map(executable));
        let built = Built { target: Target::Host, executables };
        assert_eq!(built.functions().map(|(program, _)| program).collect::<Vec<_>>(), ["event-router"]);
        assert_eq!(built.executable("consumer"), Some(Path::new("/t/consumer")));
    }
}
