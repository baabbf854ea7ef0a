//! What can go wrong on the local platform, and the way out of each case.
//!
//! A [`Problem`] says what failed and where; turning it into the tool's [`Error`] adds the kind and the hints.
//! It knows nothing of how a problem is printed.

use std::io;
use std::path::PathBuf;

use crate::error::{Error, Kind};

/// A failure of the local platform.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A file or folder could not be read, written, moved or locked.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// The verb, as in "cannot `read`".
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The environment's name can't name a folder.
    #[error("`{name}` is not an environment name: use lower-case letters, digits and `-`")]
    EnvironmentName {
        /// The name as given.
        name: String,
    },
    /// Neither `TANDEM_CACHE`, `XDG_CACHE_HOME` nor `HOME` says where the cache folder is.
    #[error("there is no cache folder: none of `TANDEM_CACHE`, `XDG_CACHE_HOME` and `HOME` is set")]
    NoCacheFolder,
    /// A file that every checkout has is missing.
    #[error("this checkout is incomplete: `{}` is missing", path.display())]
    CheckoutIncomplete {
        /// The missing file.
        path: PathBuf,
    },
    /// No Python, or only too old ones.
    #[error("the local platform needs Python {minimum} or newer, {found}")]
    PythonMissing {
        /// The oldest version that will do.
        minimum: &'static str,
        /// What was found instead.
        found: String,
    },
    /// Python is there, but can't make virtual environments.
    #[error("`{}` cannot create a virtual environment: {said}", python.display())]
    VenvFailed {
        /// The interpreter.
        python: PathBuf,
        /// Its last words.
        said: String,
    },
    /// The pinned packages could not be downloaded or didn't match their hashes.
    #[error("cannot install the packages of `{}`: {said}", requirements.display())]
    PipFailed {
        /// The list with versions and hashes.
        requirements: PathBuf,
        /// The installer's last words.
        said: String,
    },
    /// The installed packages don't hold what the platform starts.
    #[error("`{}` holds no {what}", venv.display())]
    InstallationIncomplete {
        /// The virtual environment.
        venv: PathBuf,
        /// What is missing in it.
        what: &'static str,
    },
    /// Too little disk space.
    #[error("`{}` has {free_mib} MiB free, and {needed_mib} MiB are needed", path.display())]
    DiskFull {
        /// A folder on the full file system.
        path: PathBuf,
        /// What is left.
        free_mib: u64,
        /// What is needed.
        needed_mib: u64,
    },
    /// A port that the settings ask for is in use by another program.
    #[error("port {port} on 127.0.0.1, which the {process} is to use, is taken by another program")]
    PortTaken {
        /// The port.
        port: u16,
        /// Who was to use it.
        process: &'static str,
        /// The key of the environment file that sets it.
        key: &'static str,
    },
    /// A port setting from the process environment is no port.
    #[error("`{variable}` is `{value}`, which is not a port (1 to 65535)")]
    PortInvalid {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A child program could not be started at all.
    #[error("cannot start `{}`", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A process of the platform dies or never becomes ready.
    #[error("the {process} does not come up: {reason}")]
    NotReady {
        /// Its name in `synth status`.
        process: String,
        /// What was seen.
        reason: String,
        /// The end of its log; may be empty.
        log: String,
        /// Where the whole log is.
        log_path: PathBuf,
    },
    /// A process of the platform, which was up before, is dead or does not answer.
    #[error("the local platform is damaged: {what}")]
    Damaged {
        /// Which processes, and how they look.
        what: String,
    },
    /// The supervisor is gone, although some of its processes may live on.
    #[error("the supervisor of the local platform of `{environment}` is not running")]
    NotSupervised {
        /// The environment.
        environment: String,
    },
    /// No platform runs for this checkout and environment.
    #[error("no local platform of `{environment}` is running in this checkout")]
    NotRunning {
        /// The environment.
        environment: String,
    },
    /// A request over HTTP on this machine failed.
    #[error("`{url}` does not answer")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// Why there is no answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The supervisor refused a request.
    #[error("the supervisor refused the request: {said}")]
    SupervisorRefused {
        /// Status and body.
        said: String,
    },
    /// The Kafka broker refused or didn't answer.
    #[error("the Kafka broker at {brokers} refuses to {action}: {said}")]
    BrokerRefused {
        /// Bootstrap servers.
        brokers: String,
        /// As in "refuses to `create topic x`".
        action: String,
        /// The broker's or the client's words.
        said: String,
    },
    /// Some processes survived even SIGKILL.
    #[error("{} of the platform's processes cannot be stopped: {}", pids.len(), list(pids))]
    Unstoppable {
        /// Who survived.
        pids: Vec<u32>,
    },
    /// `logs` was asked for a process that has none.
    #[error("there is no log of `{which}`; {available}")]
    NoSuchLog {
        /// The name as given.
        which: String,
        /// Which logs exist, as a clause.
        available: String,
    },
    /// Something that can't be written as JSON was to be, or the reverse.
    #[error("`{}` is not the JSON that this version of the tool writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

impl Problem {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::File { .. }
            | Self::EnvironmentName { .. }
            | Self::NoCacheFolder
            | Self::CheckoutIncomplete { .. }
            | Self::PythonMissing { .. }
            | Self::VenvFailed { .. }
            | Self::InstallationIncomplete { .. }
            | Self::DiskFull { .. }
            | Self::PortTaken { .. }
            | Self::PortInvalid { .. }
            | Self::Spawn { .. } => Kind::Configuration,
            Self::NoSuchLog { .. } => Kind::Usage,
            Self::PipFailed { .. }
            | Self::NotReady { .. }
            | Self::Damaged { .. }
            | Self::NotSupervised { .. }
            | Self::NotRunning { .. }
            | Self::NoAnswer { .. }
            | Self::SupervisorRefused { .. }
            | Self::BrokerRefused { .. }
            | Self::Unstoppable { .. } => Kind::Remote,
            Self::Json { .. } => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::File { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull => format!("free some space on the disk that holds `{}`", path.display()),
                io::ErrorKind::PermissionDenied => {
                    format!("make `{}` writable, or set `TANDEM_CACHE` to a folder that is", path.display())
                }
                _ => return Vec::new(),
            },
            Self::NoCacheFolder => "set `TANDEM_CACHE` to a folder that may hold about 100 MiB".to_owned(),
            Self::CheckoutIncomplete { .. } => "restore it with `git checkout -- synth/emulator`".to_owned(),
            Self::PythonMissing { .. } | Self::VenvFailed { .. } => {
                "run `cargo run -p synth -- doctor`: it names the command that installs what is missing".to_owned()
            }
            Self::PipFailed { said, .. } if said.contains("No space left") => {
                "free some space, or set `TANDEM_CACHE` to a folder on another disk".to_owned()
            }
            Self::PipFailed { said, .. } if said.contains("HASHES") || said.contains("hashes") => {
                "a package differs from the pinned one: don't go on; ask who changed the package index".to_owned()
            }
            Self::PipFailed { .. } => {
                "check the connection to the Python package index (`PIP_INDEX_URL`, proxy), then run the command again"
                    .to_owned()
            }
            Self::InstallationIncomplete { venv, .. } => {
                format!("remove it with `rm -r {}`, then run the command again", venv.display())
            }
            Self::DiskFull { .. } => "free some space, or set `TANDEM_CACHE` to a folder on another disk".to_owned(),
            Self::PortTaken { port, key, .. } => {
                // `local.kafka_port` in the file is `TANDEM_KAFKA_PORT` in the process environment.
                let variable = format!("TANDEM_{}", key.trim_start_matches("local.").to_uppercase());
                return vec![
                    format!("`lsof -nP -iTCP:{port} -sTCP:LISTEN` shows the program; stop it"),
                    format!(
                        "or remove `{key}` from the environment file and unset `{variable}`: a free port is then chosen"
                    ),
                ];
            }
            Self::PortInvalid { variable, .. } => format!("unset `{variable}`: a free port is then chosen"),
            Self::NotReady { log, log_path, .. } => {
                let mut hints = Vec::new();
                if !log.is_empty() {
                    hints.push(format!("the end of its log:\n{log}"));
                }
                hints.push(format!("the whole log is `{}`", log_path.display()));
                hints.push("`synth local reset` starts an empty platform".to_owned());
                return hints;
            }
            Self::Damaged { .. } | Self::NotSupervised { .. } => {
                "`synth local up` repairs it; `synth local logs` shows what happened".to_owned()
            }
            Self::NotRunning { .. } => "start it with `synth local up`, or `synth deploy`".to_owned(),
            Self::BrokerRefused { .. } => {
                "`synth local logs broker` shows its side; `synth local reset` starts an empty one".to_owned()
            }
            Self::Unstoppable { pids } => format!("look at them with `ps -o pid,stat,wchan:30,args -p {}`", list(pids)),
            Self::Json { path, .. } => format!("remove it with `rm {}`, then run the command again", path.display()),
            Self::EnvironmentName { .. }
            | Self::Spawn { .. }
            | Self::NoAnswer { .. }
            | Self::SupervisorRefused { .. }
            | Self::NoSuchLog { .. } => return Vec::new(),
        };
        vec![hint]
    }

    fn into_source(self) -> Option<Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::File { source, .. } | Self::Spawn { source, .. } => Some(source.into()),
            Self::NoAnswer { source, .. } => Some(source),
            Self::Json { source, .. } => Some(source.into()),
            _ => None,
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let mut error = Error::new(problem.kind(), problem.to_string());
        for hint in problem.hints() {
            error = error.hint(hint);
        }
        match problem.into_source() {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_that_a_person_can_repair_says_how() {
        let cases = [
            (
                Problem::PortTaken { port: 4566, process: "emulator", key: "local.emulator_port" },
                Kind::Configuration,
                "port 4566 on 127.0.0.1, which the emulator is to use, is taken by another program",
                "local.emulator_port",
            ),
            (
                Problem::PythonMissing {
                    minimum: "3.10",
                    found: "and found only 3.8.1 (`/usr/bin/python3`)".to_owned(),
                },
                Kind::Configuration,
                "the local platform needs Python 3.10 or newer, and found only 3.8.1 (`/usr/bin/python3`)",
                "doctor",
            ),
            (
                Problem::DiskFull { path: "/cache".into(), free_mib: 12, needed_mib: 300 },
                Kind::Configuration,
                "`/cache` has 12 MiB free, and 300 MiB are needed",
                "TANDEM_CACHE",
            ),
            (
                Problem::PipFailed { requirements: "requirements.txt".into(), said: "connection refused".to_owned() },
                Kind::Remote,
                "cannot install the packages of `requirements.txt`: connection refused",
                "PIP_INDEX_URL",
            ),
            (
                Problem::Damaged { what: "the emulator (pid 7) is dead".to_owned() },
                Kind::Remote,
                "the local platform is damaged: the emulator (pid 7) is dead",
                "synth local up",
            ),
            (
                Problem::BrokerRefused {
                    brokers: "127.0.0.1:1".to_owned(),
                    action: "create topic `a`".to_owned(),
                    said: "timed out".to_owned(),
                },
                Kind::Remote,
                "the Kafka broker at 127.0.0.1:1 refuses to create topic `a`: timed out",
                "synth local logs broker",
            ),
        ];
        for (problem, kind, message, hint) in cases {
            let error = Error::from(problem);
            assert_eq!(error.kind(), kind, "{message}");
            assert_eq!(error.to_string(), message);
            assert!(error.hints().iter().any(|line| line.contains(hint)), "{message}: {:?}", error.hints());
        }
    }

    #[test]
    fn the_cause_is_kept_and_not_repeated_in_the_message() {
        let error = Error::from(Problem::file("write", "/x")(io::Error::other("broken")));
        assert_eq!(error.to_string(), "cannot write `/x`");
        let source = std::error::Error::source(&error).expect("the cause is kept");
        assert_eq!(source.to_string(), "broken");
    }
}
