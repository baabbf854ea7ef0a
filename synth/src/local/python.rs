//! Finding a Python interpreter that is new enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::processes;

/// Oldest Python that runs the emulator, as people write it.
pub(crate) const MINIMUM: &str = "3.10";
const MINIMUM_VERSION: (u32, u32) = (3, 10);

/// Newest minor version that is looked for by its own name.
const NEWEST_MINOR: u32 = 15;

/// An interpreter that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    /// Like `3.11.7`.
    pub(crate) version: String,
}

/// The first interpreter on `path` that is new enough, or else those that were found, oldest news first.
pub(crate) fn find(path: &[PathBuf]) -> Result<Python, Vec<Python>> {
    let by_version = (MINIMUM_VERSION.1..=NEWEST_MINOR).rev().map(|minor| format!("python3.{minor}"));
    let names = ["python3".to_owned()].into_iter().chain(by_version).chain(["python".to_owned()]);
    let mut too_old = Vec::new();
    for program in names.flat_map(|name| path.iter().map(move |folder| folder.join(&name))) {
        // A version manager's shim may exist and still refuse: it is no interpreter then.
        let Some(version) = version_of(&program) else { continue };
        let python = Python { program, version };
        if is_new_enough(&python.version) {
            return Ok(python);
        }
        too_old.push(python);
    }
    Err(too_old)
}

/// What [`find`] found instead, as the end of a sentence.
pub(crate) fn found_instead(too_old: &[Python]) -> String {
    if too_old.is_empty() {
        return "and found none on `PATH`".to_owned();
    }
    let list: Vec<String> = too_old.iter().map(|p| format!("{} (`{}`)", p.version, p.program.display())).collect();
    format!("and found only {}", list.join(", "))
}

/// The folders of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn version_of(program: &Path) -> Option<String> {
    if !program.is_file() {
        return None;
    }
    let run = || {
        Command::new(program)
            .args(["-I", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
            .stdin(Stdio::null())
            .output()
    };
    let output = match run() {
        Err(error) if processes::is_busy(&error) => run(),
        other => other,
    };
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= MINIMUM_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, good) in
            [("3.9.18", false), ("3.10.0", true), ("3.11.7", true), ("4.0.0", true), ("2.7.1", false), ("x", false)]
        {
            assert_eq!(is_new_enough(version), good, "{version}");
        }
    }

    #[test]
    fn an_empty_path_finds_nothing_and_says_so() {
        assert_eq!(found_instead(&find(&[]).expect_err("nothing there")), "and found none on `PATH`");
    }
}
