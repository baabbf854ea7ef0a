//! Finding and stopping processes by what the operating system knows of them.
//!
//! A process is named by its number *and* its start time, because numbers are used again.
//! On Linux the processes of a platform are found by the marker variable in `/proc/*/environ`, whatever happened to
//! the tool that started them. Elsewhere `ps` serves: the recorded processes and their descendants are found.
//! Nothing here knows what a process is for, and none is ever signalled that isn't named by number and start time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::folder::PlatformId;

/// The variable that marks each process of a platform, and what it starts in turn.
pub(crate) const PLATFORM_VARIABLE: &str = "TANDEM_PLATFORM";

/// How often a stopping process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// One process, past confusion with a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The process number.
    pub(crate) pid: u32,
    /// When it started, in the operating system's own words; only compared, never interpreted.
    pub(crate) start: String,
}

impl Identity {
    /// The identity of the process `pid`; `None` when it is dead.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        system::entry(pid).filter(|entry| !entry.zombie).map(|entry| entry.identity)
    }

    /// Whether this very process lives; a dead one that nobody has waited for doesn't.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }

    /// Sends `signal` if this very process still lives.
    pub(crate) fn signal(&self, signal: Signal) {
        let Ok(pid) = i32::try_from(self.pid) else { return };
        if self.pid != std::process::id() && self.is_alive() {
            // A failure means that it died in between, or belongs to someone else: either way it's not ours to stop.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// A line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) identity: Identity,
    pub(crate) parent: u32,
    pub(crate) zombie: bool,
}

/// Which processes live, and who started them.
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<u32, Entry>);

impl Table {
    /// Reads the table of this machine; processes that end meanwhile are left out.
    pub(crate) fn read() -> Self {
        Self(system::entries().into_iter().filter(|entry| !entry.zombie).map(|e| (e.identity.pid, e)).collect())
    }

    /// The processes of `roots` that live, and all that descend from them.
    pub(crate) fn with_descendants(&self, roots: &[Identity]) -> BTreeSet<Identity> {
        let mut found: BTreeSet<u32> = roots
            .iter()
            .filter(|root| self.0.get(&root.pid).is_some_and(|entry| entry.identity == **root))
            .map(|root| root.pid)
            .collect();
        loop {
            let before = found.len();
            let children = self.0.values().filter(|entry| found.contains(&entry.parent)).map(|e| e.identity.pid);
            found.extend(children.collect::<Vec<_>>());
            if found.len() == before {
                return found.iter().map(|pid| self.0[pid].identity.clone()).collect();
            }
        }
    }
}

/// Every living process of the platform: those marked, those `recorded`, and all descendants; never this one.
pub(crate) fn of_platform(id: &PlatformId, recorded: &[Identity]) -> BTreeSet<Identity> {
    let table = Table::read();
    let mut roots = recorded.to_vec();
    roots.extend(table.0.values().filter(|e| system::is_marked(e.identity.pid, id)).map(|e| e.identity.clone()));
    let own = std::process::id();
    roots.retain(|identity| identity.pid != own);
    let mut found = table.with_descendants(&roots);
    found.retain(|identity| identity.pid != own);
    found
}

/// Asks `processes` to end, kills after `grace` those that didn't; yields who survived even that.
pub(crate) async fn stop(processes: &BTreeSet<Identity>, grace: Duration) -> Vec<Identity> {
    for process in processes {
        process.signal(Signal::SIGTERM);
    }
    if wait_for_end(processes, grace).await.is_empty() {
        return Vec::new();
    }
    for process in processes {
        process.signal(Signal::SIGKILL);
    }
    wait_for_end(processes, Duration::from_secs(5)).await
}

/// Waits until none of `processes` lives, or `limit` is over; yields who still does.
pub(crate) async fn wait_for_end(processes: &BTreeSet<Identity>, limit: Duration) -> Vec<Identity> {
    let deadline = Instant::now() + limit;
    loop {
        let alive: Vec<Identity> = processes.iter().filter(|process| process.is_alive()).cloned().collect();
        if alive.is_empty() || Instant::now() >= deadline {
            return alive;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(target_os = "linux")]
mod system {
    //! `/proc`, as described in proc(5).

    use std::fs;

    use super::{Entry, Identity, PLATFORM_VARIABLE, PlatformId};

    pub(super) fn entries() -> Vec<Entry> {
        let Ok(folder) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        folder.flatten().filter_map(|file| file.file_name().to_str()?.parse().ok()).filter_map(entry).collect()
    }

    pub(super) fn entry(pid: u32) -> Option<Entry> {
        parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Other users' processes can't be read, and so are never taken for ours.
    pub(super) fn is_marked(pid: u32, id: &PlatformId) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        let marker = format!("{PLATFORM_VARIABLE}={id}");
        environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
    }

    /// Fields: number, (name), state, parent, …, start time as the 22nd; the name may hold spaces and parentheses.
    pub(super) fn parse_stat(line: &str) -> Option<Entry> {
        let (head, tail) = line.rsplit_once(')')?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let state = *fields.first()?;
        let parent = fields.get(1)?.parse().ok()?;
        let start = (*fields.get(19)?).to_owned();
        Some(Entry { identity: Identity { pid, start }, parent, zombie: matches!(state, "Z" | "X") })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! `ps`, because other systems have no `/proc`.

    use std::process::Command;

    use super::{Entry, PlatformId, parse_ps};

    pub(super) fn entries() -> Vec<Entry> {
        ps(&["-ax"])
    }

    pub(super) fn entry(pid: u32) -> Option<Entry> {
        ps(&["-p", &pid.to_string()]).into_iter().next()
    }

    /// The environment of another process can't be read here.
    pub(super) fn is_marked(_pid: u32, _id: &PlatformId) -> bool {
        false
    }

    fn ps(which: &[&str]) -> Vec<Entry> {
        let output =
            Command::new("ps").args(which).args(["-o", "pid=,ppid=,stat=,lstart="]).env("LC_ALL", "C").output();
        output.map(|output| parse_ps(&String::from_utf8_lossy(&output.stdout))).unwrap_or_default()
    }
}

/// Lines of `ps -o pid=,ppid=,stat=,lstart=`.
#[cfg(any(test, not(target_os = "linux")))]
fn parse_ps(text: &str) -> Vec<Entry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let pid = words.next()?.parse().ok()?;
            let parent = words.next()?.parse().ok()?;
            let zombie = words.next()?.starts_with('Z');
            let start = words.collect::<Vec<_>>().join(" ");
            Some(Entry { identity: Identity { pid, start }, parent, zombie })
        })
        .collect()
}

/// Whether `error` says that a program file is being written this moment; trying again helps.
pub(crate) fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ExecutableFileBusy
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::local::folder::Folder;

    #[test]
    fn ps_lines_are_understood() {
        let entries =
            parse_ps("  1     0 Ss   Sat Nov 21 21:28:01 2026\n 42     1 Z+   Sat Nov 21 21:30:00 2026\nnonsense\n");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].identity, Identity { pid: 1, start: "Sat Nov 21 21:28:01 2026".to_owned() });
        assert_eq!((entries[1].parent, entries[1].zombie), (1, true));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b) c) S 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2 3";
        let entry = system::parse_stat(line).expect("a good line");
        assert_eq!(entry, Entry { identity: Identity { pid: 7, start: "12345".to_owned() }, parent: 3, zombie: false });
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let own = Identity::of(std::process::id()).expect("this process lives");
        assert!(own.is_alive());
        assert!(!Identity { start: "0".to_owned(), ..own }.is_alive());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn marked_processes_and_their_children_are_found_and_stopped_even_if_they_ignore_the_request() {
        let checkout = tempfile::tempdir().expect("a folder");
        let id = Folder::of(checkout.path(), "sandbox").expect("a good name").id();
        // The child of the shell drops the marker: it is found as a descendant.
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; env -u TANDEM_PLATFORM sleep 100 & echo ready; while :; do sleep 1; done"])
            .env(PLATFORM_VARIABLE, id.as_str())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut ready = [0; 6];
        std::io::Read::read_exact(shell.stdout.as_mut().expect("piped"), &mut ready).expect("a line");
        let found = of_platform(&id, &[]);
        assert!(found.iter().any(|identity| identity.pid == shell.id()));
        assert!(found.len() >= 2, "{found:?}");
        assert!(stop(&found, Duration::from_millis(100)).await.is_empty());
        // The second `sleep` of the loop may have started after the look: it dies with nobody to wait for it.
        assert!(shell.wait().is_ok());
        let rest = of_platform(&id, &[]);
        assert!(stop(&rest, Duration::from_millis(100)).await.is_empty());
        assert!(of_platform(&id, &[]).is_empty());
    }
}
