//! Keeps one process running: starts it, sees it die, starts it again after a growing pause, ends it when asked.
//!
//! A [`Keeper`] is driven by repeated looks and never waits itself. It can keep a process that it didn't start,
//! one that outlived an earlier supervisor.

use std::fs::OpenOptions;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::folder::Folder;
use super::processes::{Identity, PLATFORM_VARIABLE};
use super::state::{Launch, ProcessRecord, now};

/// Pause before the first restart; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between restarts: a process is never given up, and never restarted in a tight loop.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that lived this long counts as sound again.
const SOUND_AFTER: Duration = Duration::from_secs(30);

/// What a look at the process showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was started; `again` if it ran before.
    Started {
        /// Not the first start.
        again: bool,
    },
    /// It ended without being asked.
    Died,
    /// It ended because it was asked to.
    Ended,
}

/// Keeps one process.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// `None`: it is to end and not to be started again.
    launch: Option<Launch>,
    record: ProcessRecord,
    /// `None` for a process that an earlier supervisor started.
    child: Option<Child>,
    running_since: Instant,
    retry_at: Instant,
    stopping: Option<Stopping>,
    started_before: bool,
}

#[derive(Debug)]
struct Stopping {
    kill_at: Instant,
    killed: bool,
    reason: String,
}

impl Keeper {
    /// Will start `launch` at the first look.
    pub(crate) fn new(launch: Launch) -> Self {
        let record = ProcessRecord { port: launch.probe.port(), ..ProcessRecord::default() };
        Self::with_record(launch, record)
    }

    /// Goes on with a process, living or dead, that an earlier supervisor recorded.
    pub(crate) fn adopt(launch: Launch, record: ProcessRecord) -> Self {
        Self { started_before: true, ..Self::with_record(launch, record) }
    }

    fn with_record(launch: Launch, record: ProcessRecord) -> Self {
        let now = Instant::now();
        Self {
            launch: Some(launch),
            record,
            child: None,
            running_since: now,
            retry_at: now,
            stopping: None,
            started_before: false,
        }
    }

    pub(crate) fn record(&self) -> &ProcessRecord {
        &self.record
    }

    pub(crate) fn launch(&self) -> Option<&Launch> {
        self.launch.as_ref()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.record.identity.is_some()
    }

    /// Ends the process, and starts `launch` in its place when it has ended.
    pub(crate) fn replace(&mut self, launch: Launch) {
        let grace = self.launch.as_ref().unwrap_or(&launch).grace();
        self.launch = Some(launch);
        self.record.failures = 0;
        self.request_end(grace, "replaced");
    }

    /// Ends the process and starts it again when it has ended.
    pub(crate) fn restart(&mut self, reason: &str) {
        if let Some(grace) = self.launch.as_ref().map(Launch::grace) {
            self.request_end(grace, reason);
        }
    }

    /// Ends the process for good.
    pub(crate) fn end(&mut self) {
        if let Some(launch) = self.launch.take() {
            self.request_end(launch.grace(), "stopped");
        }
    }

    /// Ends the process for good, at once.
    pub(crate) fn kill(&mut self) {
        self.launch = None;
        self.request_end(Duration::ZERO, "killed");
    }

    fn request_end(&mut self, grace: Duration, reason: &str) {
        self.retry_at = Instant::now();
        let Some(identity) = &self.record.identity else { return };
        identity.signal(Signal::SIGTERM);
        let kill_at = Instant::now() + grace;
        self.stopping = Some(Stopping { kill_at, killed: false, reason: reason.to_owned() });
    }

    /// Looks at the process and does what is due.
    pub(crate) fn look(&mut self, folder: &Folder) -> Option<Change> {
        let now = Instant::now();
        if let Some(identity) = self.record.identity.clone() {
            match self.end_of(&identity) {
                None => {
                    self.watch(&identity, now);
                    None
                }
                Some(end) => Some(self.note_end(&end, now)),
            }
        } else if now >= self.retry_at {
            self.launch.clone().and_then(|launch| self.start(&launch, folder, now))
        } else {
            None
        }
    }

    /// How the process ended; `None` while it lives.
    fn end_of(&mut self, identity: &Identity) -> Option<String> {
        match &mut self.child {
            Some(child) => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(describe(status)),
                Err(error) => Some(format!("lost: {error}")),
            },
            None if identity.is_alive() => None,
            None => Some("ended while no supervisor watched, or unseen".to_owned()),
        }
    }

    fn watch(&mut self, identity: &Identity, now: Instant) {
        if now.duration_since(self.running_since) >= SOUND_AFTER {
            self.record.failures = 0;
        }
        if let Some(stopping) = &mut self.stopping
            && now >= stopping.kill_at
            && !stopping.killed
        {
            identity.signal(Signal::SIGKILL);
            stopping.killed = true;
        }
    }

    fn note_end(&mut self, end: &str, now: Instant) -> Change {
        self.child = None;
        self.record.identity = None;
        match self.stopping.take() {
            Some(stopping) => {
                self.record.last_end = Some(format!("{}, {end}", stopping.reason));
                self.retry_at = now;
                Change::Ended
            }
            None => {
                self.note_failure(end.to_owned(), now);
                Change::Died
            }
        }
    }

    fn note_failure(&mut self, end: String, now: Instant) {
        self.record.last_end = Some(end);
        self.retry_at = now + pause_after(self.record.failures);
        self.record.failures = self.record.failures.saturating_add(1);
    }

    fn start(&mut self, launch: &Launch, folder: &Folder, instant: Instant) -> Option<Change> {
        let replaced = self.record.program.as_ref().is_some_and(|program| *program != launch.program);
        if replaced {
            self.record.restarts = 0;
        } else if self.started_before {
            self.record.restarts = self.record.restarts.saturating_add(1);
        }
        let again = std::mem::replace(&mut self.started_before, true);
        self.record.program = Some(launch.program.clone());
        self.record.port = launch.probe.port();
        match spawn(launch, folder) {
            Ok((child, identity)) => {
                self.child = Some(child);
                self.record.identity = Some(identity);
                self.record.started_at = Some(now());
                self.running_since = instant;
                Some(Change::Started { again })
            }
            Err(error) => {
                self.note_failure(format!("cannot start: {error}"), instant);
                None
            }
        }
    }
}

fn spawn(launch: &Launch, folder: &Folder) -> io::Result<(Child, Identity)> {
    let log = OpenOptions::new().create(true).append(true).open(folder.log(&launch.name))?;
    // The process writes into the file itself: it must not depend on a supervisor that reads a pipe.
    let mut child = Command::new(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs(&launch.environment)
        .env(PLATFORM_VARIABLE, folder.id().as_str())
        .current_dir(folder.temporary())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    match Identity::of(child.id()) {
        Some(identity) => Ok((child, identity)),
        None => {
            let status = child.wait()?;
            Err(io::Error::other(format!("it ended at once, {}", describe(status))))
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("ended by {}", signal.as_str()),
            Err(_) => format!("ended by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

/// A shell script as a launch, for tests.
#[cfg(test)]
pub(crate) fn script(name: &str, script: &str, memory: super::state::Memory) -> Launch {
    Launch {
        name: name.to_owned(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        probe: super::state::Probe::Alive,
        memory,
        grace_secs: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Memory;
    use super::*;

    struct Bench {
        _checkout: tempfile::TempDir,
        folder: Folder,
    }

    impl Bench {
        fn new() -> Self {
            let checkout = tempfile::tempdir().expect("a folder");
            let folder = Folder::of(checkout.path(), "sandbox").expect("a good name");
            folder.create().expect("writable");
            Self { _checkout: checkout, folder }
        }

        /// Looks until something changes.
        fn next(&self, keeper: &mut Keeper) -> Change {
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline {
                if let Some(change) = keeper.look(&self.folder) {
                    return change;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            panic!("nothing changes: {keeper:?}");
        }
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let pauses: Vec<u128> = [0, 1, 2, 5, 6, 40].map(|n| pause_after(n).as_millis()).to_vec();
        assert_eq!(pauses, [250, 500, 1000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn what_dies_is_started_again_and_counted() {
        let bench = Bench::new();
        let mut keeper = Keeper::new(script("a", "exec sleep 100", Memory::None));
        assert_eq!(bench.next(&mut keeper), Change::Started { again: false });
        let first = keeper.record().identity.clone().expect("it runs");
        first.signal(Signal::SIGKILL);
        assert_eq!(bench.next(&mut keeper), Change::Died);
        assert_eq!(keeper.record().last_end.as_deref(), Some("ended by SIGKILL"));
        assert_eq!(bench.next(&mut keeper), Change::Started { again: true });
        assert_eq!(keeper.record().restarts, 1);
        assert_ne!(keeper.record().identity.as_ref(), Some(&first));
        keeper.end();
        assert_eq!(bench.next(&mut keeper), Change::Ended);
        assert_eq!(keeper.look(&bench.folder), None, "what was ended stays ended");
    }

    #[test]
    fn what_ignores_the_request_to_end_is_killed_after_its_grace() {
        let bench = Bench::new();
        let mut keeper = Keeper::new(script("a", "trap '' TERM; echo up; while :; do sleep 0.1; done", Memory::None));
        bench.next(&mut keeper);
        while std::fs::read(bench.folder.log("a")).expect("a log").is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        keeper.end();
        assert_eq!(bench.next(&mut keeper), Change::Ended);
        assert_eq!(keeper.record().last_end.as_deref(), Some("stopped, ended by SIGKILL"));
    }

    #[test]
    fn a_replacement_starts_only_after_the_old_one_has_ended() {
        let bench = Bench::new();
        let mut keeper = Keeper::new(script("a", "exec sleep 100", Memory::None));
        bench.next(&mut keeper);
        let old = keeper.record().identity.clone().expect("it runs");
        keeper.replace(script("a", "exec sleep 200", Memory::None));
        assert_eq!(bench.next(&mut keeper), Change::Ended);
        assert!(!old.is_alive());
        assert_eq!(bench.next(&mut keeper), Change::Started { again: true });
        keeper.kill();
        assert_eq!(bench.next(&mut keeper), Change::Ended);
    }

    #[test]
    fn a_program_that_is_missing_is_tried_again_and_explained() {
        let bench = Bench::new();
        let mut launch = script("a", "", Memory::None);
        launch.program = bench.folder.programs().join("absent");
        let mut keeper = Keeper::new(launch);
        assert_eq!(keeper.look(&bench.folder), None);
        let end = keeper.record().last_end.clone().expect("it was tried");
        assert!(end.starts_with("cannot start: "), "{end}");
        assert_eq!(keeper.look(&bench.folder), None, "it pauses first");
        assert_eq!(keeper.record().restarts, 0);
    }
}
