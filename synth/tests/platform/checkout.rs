//! A checkout of its own for the test: copied, so that lines can be changed and nobody's sandbox is touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;
use serde_json::Value as Json;

use crate::aws::Aws;

/// What a build and a deployment need.
const COPIED: [&str; 11] = [
    ".cargo",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "crates",
    "infra",
    "functions",
    "consumer",
    "synth",
    "xtask",
    "environments",
];
/// The longest wait for anything that a run is expected to say.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// Copies what changed since the last run; what was built from it then is used again.
    pub(crate) fn fresh() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let checkout =
            Self { root: temporary.join("checkout"), target: temporary.parent().expect("the build folder").to_owned() };
        for name in COPIED {
            mirror(&source.join(name), &checkout.root.join(name));
        }
        checkout.take_another_version();
        checkout
    }

    /// Both trees build into one folder, and Cargo tells their packages apart by name and version only: without a
    /// version of its own, what was built from the copy could be taken for built from the original.
    fn take_another_version(&self) {
        for name in ["Cargo.toml", "Cargo.lock"] {
            let path = self.root.join(name);
            let text = fs::read_to_string(&path).expect("a copied file");
            let original = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
            assert!(text.contains(&original), "{name} says the version of the workspace");
            fs::write(path, text.replace(&original, "version = \"0.0.999\"")).expect("the file is written");
        }
    }

    /// Runs the tool to its good end.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the tool starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "synth {arguments:?} ended with {}\n{out}\n{err}", output.status);
        out
    }

    /// Runs the tool to its good end and reads its answer.
    pub(crate) fn answer(&self, arguments: &[&str]) -> Json {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
        let out = self.run(&arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("synth {arguments:?}: {error}\n{out}"))
    }

    /// Starts the tool and follows what it says.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, lines, seen: Vec::new() }
    }

    /// Asks for the status until it is as wanted.
    pub(crate) fn wait_for_status(&self, wanted: impl Fn(&Json) -> bool) -> Json {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.answer(&["status"]);
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "the status did not become what is wanted: {status:#}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// How often the tool called each API action, as the emulator counted.
    pub(crate) fn calls_of_the_tool(&self) -> BTreeMap<String, u64> {
        let calls = self.aws(crate::HOME).local("/_local/calls");
        let root = calls["root"].as_object().expect("counts");
        root.iter().map(|(action, count)| (action.clone(), count.as_u64().expect("a count"))).collect()
    }

    /// A region of the emulated AWS.
    pub(crate) fn aws(&self, region: &'static str) -> Aws {
        Aws::new(self.port_of("emulator"), region)
    }

    /// The port that a process of the platform serves.
    pub(crate) fn port_of(&self, name: &str) -> u16 {
        let status = self.answer(&["status"]);
        let processes = status["platform"]["processes"].as_array();
        let process = processes.and_then(|processes| processes.iter().find(|process| process["name"] == name));
        let port = process.and_then(|process| u16::try_from(process["port"].as_u64()?).ok());
        port.unwrap_or_else(|| panic!("{name} runs: {status:#}"))
    }

    /// Adds a line to the function, another one in each run.
    pub(crate) fn change_a_line_of_the_stream_processor(&self) {
        let path = self.root.join("functions/stream-processor/src/main.rs");
        let text = fs::read_to_string(&path).expect("the function's source");
        let mark = "let started = Instant::now();\n";
        let (before, after) = text.split_once(mark).expect("the function measures its start");
        let nonce = std::process::id();
        let line = format!("    tracing::info!(\"a line that a test added: {nonce}\");\n");
        fs::write(&path, format!("{before}{mark}{line}{after}")).expect("the source is written");
    }

    /// Changes a passage of the sandbox's file, which is there once.
    pub(crate) fn change_the_environment(&self, from: &str, to: &str) {
        let path = self.root.join("environments/sandbox.toml");
        let text = fs::read_to_string(&path).expect("the environment's file");
        assert_eq!(text.matches(from).count(), 1, "`{from}` is there once");
        fs::write(&path, text.replace(from, to)).expect("the file is written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
        command
            .args(arguments)
            .current_dir(&self.root)
            // What is compiled already is used; the dependencies take minutes.
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("TANDEM_ENV")
            .env_remove("TANDEM_STATE")
            .env_remove("TANDEM_EMULATOR_PORT")
            .env_remove("TANDEM_KAFKA_PORT")
            .env_remove("TANDEM_SCHEMA_REGISTRY_PORT")
            .env_remove("TANDEM_CONSUMER_PORT")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // A test that failed must not leave processes behind.
        if thread::panicking() {
            let _ = self.command(&["local", "down"]).output();
        }
    }
}

/// A run of the tool that is followed.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Waits until the tool says a line that is wanted.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            let found = wanted(&line);
            self.seen.push(line);
            if found {
                return;
            }
        }
        panic!("the tool did not say what was waited for, but:\n{}", self.seen.join("\n"));
    }

    /// Whether it has come to its good end.
    pub(crate) fn has_ended_well(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some_and(|status| status.success())
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Waits for the bad end and gives everything that was said.
    pub(crate) fn failure(mut self) -> String {
        let status = self.child.wait().expect("it is ours");
        self.seen.extend(self.lines.iter());
        let said = self.seen.join("\n");
        assert!(!status.success(), "it succeeded\n{said}");
        said
    }

    /// Waits for the good end and reads the answer.
    pub(crate) fn answer(self) -> Json {
        let (answer, status) = self.end();
        assert!(status.success(), "ended with {status}\n{answer:#}");
        answer
    }

    /// Waits for the end, be it good or bad, and reads the answer.
    pub(crate) fn end(mut self) -> (Json, ExitStatus) {
        let mut out = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("UTF-8");
        let status = self.child.wait().expect("it is ours");
        self.seen.extend(self.lines.iter());
        let answer = serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("ended with {status}: {error}\n{out}\n{}", self.seen.join("\n")));
        (answer, status)
    }

    /// Whether it still runs.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }
}

/// `kill -9`.
pub(crate) fn kill(pid: u32) {
    send(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL).expect("the process lives");
}

/// The processes of a function that reach the emulator at this port.
pub(crate) fn function_processes(function: &str, port: u16) -> Vec<u32> {
    let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
    let endpoint = format!("AWS_ENDPOINT_URL=http://127.0.0.1:{port}");
    processes_with(|variables| [&name, &endpoint].iter().all(|wanted| variables.contains(&wanted.as_bytes())))
}

/// The processes that carry a platform's marker in their environment.
pub(crate) fn marked_processes(id: &str) -> Vec<u32> {
    let marker = format!("TANDEM_PLATFORM={id}");
    processes_with(|variables| variables.contains(&marker.as_bytes()))
}

/// The processes whose environment is wanted.
fn processes_with(wanted: impl Fn(&[&[u8]]) -> bool) -> Vec<u32> {
    let is_wanted = |folder: PathBuf| {
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        wanted(&environment.split(|byte| *byte == 0).collect::<Vec<_>>())
    };
    fs::read_dir("/proc")
        .expect("Linux")
        .flatten()
        .filter(|entry| is_wanted(entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Copies files that differ and removes those that are gone; equal files keep their time, so nothing is built anew.
fn mirror(from: &Path, to: &Path) {
    if from.is_file() {
        let content = fs::read(from).expect("a readable file");
        if fs::read(to).ok().as_ref() != Some(&content) {
            fs::create_dir_all(to.parent().expect("a folder")).expect("the folder is made");
            fs::write(to, content).expect("the file is written");
        }
        return;
    }
    fs::create_dir_all(to).expect("the folder is made");
    for entry in fs::read_dir(to).expect("a folder").flatten() {
        let counterpart = from.join(entry.file_name());
        if !counterpart.exists() {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it is removed");
        }
    }
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        if entry.file_name() != "__pycache__" {
            mirror(&entry.path(), &to.join(entry.file_name()));
        }
    }
}
