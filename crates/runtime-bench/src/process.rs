//! A program as a process: how it is started, which core it has, and what the kernel says of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::Error;

/// What is started: a program, its arguments, and its variables besides those that Lambda sets for every function.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments; a function of its own has none.
    pub arguments: Vec<String>,
    /// Its own variables.
    pub variables: BTreeMap<String, String>,
}

/// A running program, which is killed at the end of its scope.
#[derive(Debug)]
pub struct Process {
    child: Child,
    started: Instant,
}

impl Process {
    /// Starts a program as Lambda would, with a Runtime API at `runtime_api`. What it writes is thrown away.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(program: &Program, runtime_api: &str) -> Result<Self, Error> {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().envs(lambda_variables(&program.path, runtime_api));
        command.envs(&program.variables).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().map_err(|source| Error::Start { program: program.path.clone(), source })?;
        Ok(Self { child, started })
    }

    /// The moment just before it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Processor time of all its threads, those that have ended included.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_time(&self) -> Result<Duration, Error> {
        let time = clock_getcpuclockid(self.pid()).and_then(ClockId::now);
        time.map(Duration::from).map_err(|errno| Error::machine("read a process's processor time")(errno.into()))
    }

    /// Its resident memory in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_kib(&self) -> Result<u64, Error> {
        let path = PathBuf::from(format!("/proc/{}/status", self.child.id()));
        let status = fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        field(&status, "VmRSS:").ok_or_else(|| Error::File { path, source: io::ErrorKind::InvalidData.into() })
    }

    /// How it ended, if it has.
    pub fn ending(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| format!("ended with {status}"))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number in KiB behind a name of `/proc/<pid>/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// What Lambda sets for every function (Lambda developer guide, "Defined runtime environment variables", read 2026-11).
fn lambda_variables(program: &Path, runtime_api: &str) -> BTreeMap<&'static str, String> {
    let folder = program.parent().unwrap_or(Path::new("/")).display().to_string();
    BTreeMap::from([
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_DEFAULT_REGION", "us-west-2".to_owned()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", "tandem-bench".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/tandem-bench".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0".to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_REGION", "us-west-2".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "example".to_owned()),
        ("AWS_SESSION_TOKEN", "example".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("LAMBDA_TASK_ROOT", folder),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
    ])
}

/// The cores that this process was given. What is started later gets those that are set at that time.
#[derive(Clone, Copy, Debug)]
pub struct Cores(CpuSet);

impl Cores {
    /// Those that are set now.
    ///
    /// # Errors
    /// When the kernel doesn't say.
    pub fn given() -> Result<Self, Error> {
        sched_getaffinity(Pid::from_raw(0)).map(Self).map_err(|errno| Error::machine("ask for the cores")(errno.into()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.numbers().count()
    }

    /// Puts this thread, and what it starts from now on, onto the last of them; gives its number.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn use_one(&self) -> Result<usize, Error> {
        let last = self.numbers().last().unwrap_or(0);
        let mut one = CpuSet::new();
        one.set(last).and_then(|()| pin(&one)).map_err(|errno| Error::machine("choose a core")(errno.into()))?;
        Ok(last)
    }

    /// Lets this thread, and what it starts from now on, use all of them again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn use_all(&self) -> Result<(), Error> {
        pin(&self.0).map_err(|errno| Error::machine("choose all cores")(errno.into()))
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        (0..CpuSet::count()).filter(|number| self.0.is_set(*number).unwrap_or(false))
    }
}

fn pin(cores: &CpuSet) -> nix::Result<()> {
    sched_setaffinity(Pid::from_raw(0), cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_status_is_found_by_its_whole_name() {
        let status = "Name:\tx\nVmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 56 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(1234));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn one_core_is_one_and_all_are_all() {
        let given = Cores::given().expect("Linux says");
        given.use_one().expect("pinned");
        assert_eq!(Cores::given().expect("Linux says").count(), 1);
        given.use_all().expect("free");
        assert_eq!(Cores::given().expect("Linux says").count(), given.count());
    }

    #[test]
    fn a_process_is_asked_for_its_memory_and_time_and_killed() {
        let program =
            Program { path: PathBuf::from("/bin/sleep"), arguments: vec!["60".to_owned()], variables: BTreeMap::new() };
        let mut process = Process::start(&program, "127.0.0.1:1").expect("started");
        assert!(process.resident_kib().expect("known") > 0);
        process.processor_time().expect("known");
        assert_eq!(process.ending(), None);
        let pid = process.child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
