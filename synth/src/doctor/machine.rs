//! What the checks may look at: programs on `PATH`, variables, files, free space. Tests put another machine in place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::local;

/// A machine as the checks see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// The folders of `PATH`.
    pub(super) path: Vec<PathBuf>,
    /// The process environment.
    pub(super) variables: BTreeMap<String, String>,
    /// Where a build writes to.
    pub(super) work: PathBuf,
    /// Free space in MiB, if it isn't to be measured.
    pub(super) free_mib: Option<u64>,
}

impl Machine {
    /// The machine that this program runs on.
    pub(super) fn this() -> Self {
        let variables = std::env::vars_os();
        Self {
            path: local::python::search_path(),
            // What is no text can't be one of the few variables that are looked at.
            variables: variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect(),
            work: std::env::current_dir().unwrap_or_default(),
            free_mib: None,
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A file below the home folder, if it exists.
    pub(super) fn home_file(&self, path: &str) -> Option<PathBuf> {
        Some(Path::new(self.variable("HOME")?).join(path)).filter(|file| file.is_file())
    }

    pub(super) fn has(&self, program: &str) -> bool {
        self.find(program).is_some()
    }

    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(program)).find(|file| file.is_file())
    }

    /// What `program` writes to stdout, if it is there and succeeds.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        self.run_file(&self.find(program)?, arguments)
    }

    pub(super) fn run_file(&self, program: &Path, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).env_clear().envs(&self.variables);
        if let Ok(path) = std::env::join_paths(&self.path) {
            command.env("PATH", path);
        }
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(super) fn free_mib(&self, path: &Path) -> Option<u64> {
        self.free_mib.or_else(|| local::free_mib(path))
    }
}
