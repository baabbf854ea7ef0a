//! The local platform: the emulated AWS, the Kafka broker, the Schema Registry and the consumers of one environment.
//!
//! A platform belongs to a checkout and an environment. [`up`] installs what it needs and starts a detached supervisor
//! that keeps everything running; [`down`] ends all of it, also what a crashed tool or supervisor left behind.
//! Three things make that dependable:
//!
//! - every process carries the platform's id in its environment, and is found by that, not by a file;
//! - the supervisor adopts what an earlier one left running;
//! - files are replaced as a whole, and changes are made under a lock.
//!
//! The emulator and the broker keep everything in memory. Writing their state to disk was left out on purpose: it would
//! be written only at an orderly end, and a state that is sometimes there is harder to trust than none. If the emulator
//! dies it is restarted empty and the platform is marked ([`Platform::state_lost_at`]); the next deployment, which reads
//! what is there, restores it. If the broker dies its topics are made again and the consumers restarted.
//!
//! This module deploys nothing: it doesn't know stacks, functions or tables.

mod control;
mod files;
mod folder;
pub(crate) mod http;
mod install;
mod keeper;
mod logs;
mod platform;
mod ports;
mod problem;
mod processes;
mod programs;
pub(crate) mod python;
mod registry;
mod state;
mod supervisor;
mod topics;

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use files::Lock;
use folder::Folder;
use state::{Orders, SUPERVISOR, State};

use crate::error::Error;
use crate::ui::Ui;

pub(crate) use files::{free_mib, write_json};
pub use folder::PlatformId;
pub(crate) use folder::state_root;
pub use install::{Installation, cache_folder, install};
pub use platform::{ConsumerChange, ConsumerProcess, Platform, PlatformStatus, ProcessStatus};
pub use ports::FixedPorts;
pub use problem::Problem;
pub use registry::{Registry, router as registry_router};
pub use supervisor::{SuperviseArgs, supervise};

/// From the start of the supervisor until everything must serve; a busy machine needs some of it.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From asking the supervisor to end until it is killed: consumers drain for up to 35 s before.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(50);
/// From asking any other process to end until it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Starts the platform of `environment`, or finds it running; repairs what is damaged.
///
/// Ports that `ports` doesn't fix are chosen and kept.
///
/// # Errors
/// See [`Problem`]. After a failed start nothing of the platform runs; one that ran before and doesn't serve is left
/// for `logs` and [`reset`].
pub async fn up(ui: &Ui, checkout: &Path, environment: &str, ports: FixedPorts) -> Result<Platform, Error> {
    let folder = prepare(checkout, environment)?;
    let _lock = lock(ui, &folder).await?;
    Ok(start(ui, &folder, ports).await?)
}

/// Ends every process of the platform; yields how many there were.
///
/// # Errors
/// The state folder can't be written, or a process survives even SIGKILL.
pub async fn down(ui: &Ui, checkout: &Path, environment: &str) -> Result<usize, Error> {
    let folder = prepare(checkout, environment)?;
    let _lock = lock(ui, &folder).await?;
    Ok(end_everything(ui, &folder).await?)
}

/// Ends the platform, removes its schemas, logs and other files, and starts it empty on the same ports.
///
/// # Errors
/// As [`up`] and [`down`].
pub async fn reset(ui: &Ui, checkout: &Path, environment: &str, ports: FixedPorts) -> Result<Platform, Error> {
    let folder = prepare(checkout, environment)?;
    let _lock = lock(ui, &folder).await?;
    end_everything(ui, &folder).await?;
    remove_file(&folder.registry_file())?;
    for path in [folder.logs(), folder.temporary(), folder.home(), folder.programs()] {
        empty(&path)?;
    }
    Ok(start(ui, &folder, ports).await?)
}

/// Writes the last `lines` lines of the log of `which` (or of all processes) to stdout; with `follow` also what comes
/// later, until Ctrl-C.
///
/// # Errors
/// There is no such log, or it can't be read.
pub async fn logs(
    ui: &Ui,
    checkout: &Path,
    environment: &str,
    which: Option<&str>,
    follow: bool,
    lines: usize,
) -> Result<(), Error> {
    let folder = Folder::of(checkout, environment)?;
    Ok(logs::show(ui, &folder, which, follow, lines).await?)
}

fn prepare(checkout: &Path, environment: &str) -> Result<Folder, Problem> {
    let folder = Folder::of(checkout, environment)?;
    folder.create()?;
    Ok(folder)
}

async fn lock(ui: &Ui, folder: &Folder) -> Result<Lock, Problem> {
    let waiting = || ui.status("waiting for another command that starts or stops the local platform");
    Lock::take(&folder.change_lock(), waiting).await
}

fn empty(folder: &Path) -> Result<(), Problem> {
    fs::remove_dir_all(folder).map_err(Problem::file("remove", folder))?;
    fs::create_dir_all(folder).map_err(Problem::file("create", folder))
}

fn remove_file(path: &Path) -> Result<(), Problem> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Problem::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The caller holds the lock.
async fn start(ui: &Ui, folder: &Folder, fixed: FixedPorts) -> Result<Platform, Problem> {
    let state = State::load(folder)?;
    let running = processes::of_platform(&folder.id(), &state.as_ref().map(State::recorded).unwrap_or_default());
    if running.is_empty() {
        // A taken port is better said now than after an installation of some minutes.
        ports::choose(fixed, None)?;
    }
    let cache = cache_folder(|name| std::env::var(name).ok())?;
    let installation = install(ui, folder.checkout(), &cache).await?;
    let orders_on = |ports| programs::orders(folder, &installation, ports);

    let usable = state.as_ref().filter(|_| !running.is_empty());
    let conflict = match usable {
        _ if running.is_empty() => None,
        None => Some("there is no record of it"),
        Some(state) if orders_on(state.ports).fingerprint != state.fingerprint => Some("its programs changed"),
        Some(state) if !fixed.allow(state.ports) => Some("its port settings changed"),
        Some(state) if state.live_supervisor().is_some() => {
            return platform::wait_until_ready(folder, START_LIMIT, || None).await;
        }
        Some(_) => None,
    };
    let ports = match (conflict, usable) {
        (None, Some(state)) => {
            ui.status("taking over the local platform, whose supervisor is gone");
            state.ports
        }
        (conflict, _) => {
            if let Some(reason) = conflict {
                if let Some(state) = usable {
                    ports::check(fixed, state.ports)?;
                }
                ui.status(&format!(
                    "restarting the local platform, because {reason}; a deployment restores what was deployed in it"
                ));
                end_everything(ui, folder).await?;
            }
            // What a killed emulator left: function code and buckets of stacks that are gone with it.
            empty(&folder.temporary())?;
            ports::choose(fixed, state.as_ref().map(|state| state.ports))?
        }
    };
    let platform = supervise_detached(ui, folder, &orders_on(ports)).await;
    if platform.is_err()
        && let Err(problem) = end_everything(ui, folder).await
    {
        // Why the start failed is the better answer.
        ui.warning(&problem.to_string());
    }
    platform
}

/// Starts a supervisor that outlives this process, and waits until everything serves.
async fn supervise_detached(ui: &Ui, folder: &Folder, orders: &Orders) -> Result<Platform, Problem> {
    ui.status(&format!(
        "starting the local platform: AWS on port {}, Kafka on {}, Schema Registry on {}",
        orders.ports.emulator, orders.ports.broker, orders.ports.schema_registry
    ));
    files::write_json(&folder.orders_file(), orders)?;
    let mut child = spawn_supervisor(folder)?;
    let exited = || child.try_wait().ok().flatten().map(|status| format!("it ended with {status}"));
    platform::wait_until_ready(folder, START_LIMIT, exited).await
}

fn spawn_supervisor(folder: &Folder) -> Result<Child, Problem> {
    let program = std::env::current_exe().map_err(Problem::file("find", "this program"))?;
    let path = folder.log(SUPERVISOR);
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(Problem::file("open", &path))?;
    let errors = log.try_clone().map_err(Problem::file("open", &path))?;
    let inherited = ["HOME", "PATH", "LANG", "RUST_BACKTRACE"];
    let inherited = inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    // Always said, because it works in another folder: a relative path would lead it elsewhere.
    let state_root = state_root(folder.checkout());
    Command::new(&program)
        .args(["local", "supervise", "--env", folder.environment(), "--checkout"])
        .arg(folder.checkout())
        .env_clear()
        .envs(inherited)
        .env(folder::STATE_VARIABLE, state_root)
        .env(processes::PLATFORM_VARIABLE, folder.id().as_str())
        .current_dir(folder.checkout())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|source| Problem::Spawn { program, source })
}

/// Ends the supervisor first, so that it restarts nothing, and then whatever is left. The caller holds the lock.
async fn end_everything(ui: &Ui, folder: &Folder) -> Result<usize, Problem> {
    let state = State::load(folder)?;
    let recorded = state.as_ref().map(State::recorded).unwrap_or_default();
    let all = processes::of_platform(&folder.id(), &recorded);
    if !all.is_empty() {
        ui.status(&format!("stopping the local platform (processes: {})", all.len()));
    }
    if let Some(supervisor) = state.as_ref().and_then(State::live_supervisor) {
        supervisor.identity.signal(Signal::SIGTERM);
        // What is left after this is treated below like everything else.
        processes::wait_for_end(&[supervisor.identity.clone()].into(), SUPERVISOR_GRACE).await;
    }
    // A process that starts while the others end is found by the second look.
    for _ in 0..2 {
        let rest = processes::of_platform(&folder.id(), &recorded);
        let survivors = processes::stop(&rest, GRACE).await;
        if !survivors.is_empty() {
            return Err(Problem::Unstoppable { pids: survivors.iter().map(|process| process.pid).collect() });
        }
    }
    if let Some(mut state) = state {
        state.supervisor = None;
        state.processes.clear();
        state.probes.clear();
        state.consumers.clear();
        state.topics.clear();
        state.state_lost_at = None;
        state.save(folder)?;
    }
    Ok(all.len())
}

/// A process with the platform's marker that no record names, for tests.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn stray(checkout: &Path, environment: &str) -> Child {
    let folder = Folder::of(checkout, environment).expect("a good name");
    let mut stray = Command::new("/bin/sleep");
    stray.arg("100").env(processes::PLATFORM_VARIABLE, folder.id().as_str()).spawn().expect("it starts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Format;

    #[tokio::test]
    async fn where_nothing_runs_nothing_is_found_and_nothing_stopped() {
        let checkout = tempfile::tempdir().expect("a folder");
        assert!(Platform::find(checkout.path(), "sandbox").expect("no failure").is_none());
        assert_eq!(down(&Ui::buffered(Format::Human).0, checkout.path(), "sandbox").await.expect("no failure"), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_marked_process_without_any_record_is_reported_and_stopped() {
        let checkout = tempfile::tempdir().expect("a folder");
        let mut child = stray(checkout.path(), "sandbox");
        let error = Platform::find(checkout.path(), "sandbox").expect_err("there is no record");
        assert!(error.to_string().contains("1 processes run of which"), "{error}");
        assert_eq!(
            down(&Ui::buffered(Format::Human).0, checkout.path(), "sandbox").await.expect("it can be stopped"),
            1
        );
        assert!(child.wait().is_ok());
        assert!(Platform::find(checkout.path(), "sandbox").expect("no failure").is_none());
    }
}
