//! What is known of a platform: the supervisor's orders and the record of what runs.
//!
//! `orders.json` is written by `up` and says what to run; `platform.json` is written by the supervisor while it lives
//! and says what does run. Both are replaced as a whole, never changed in place. Neither decides which processes
//! belong to the platform: the marker does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files;
use super::folder::{Folder, PlatformId};
use super::problem::Problem;
use super::processes::Identity;

/// Version of both files and of the control interface; a platform of another version is restarted.
pub(crate) const SCHEMA: u32 = 2;

/// Name of the emulator's process.
pub(crate) const EMULATOR: &str = "emulator";
/// Name of the broker's process.
pub(crate) const BROKER: &str = "broker";
/// Name of the Schema Registry, which lives inside the supervisor.
pub(crate) const REGISTRY: &str = "schema-registry";
/// Name of the supervisor's process.
pub(crate) const SUPERVISOR: &str = "supervisor";

/// Ports on 127.0.0.1 that belong to a platform; kept over restarts, so that addresses stay valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) emulator: u16,
    pub(crate) broker: u16,
    pub(crate) schema_registry: u16,
    /// Where the consumer serves health and metrics.
    pub(crate) consumer: u16,
}

/// What the supervisor is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) schema: u32,
    /// Changes when an installed program or the emulator's own code changes.
    pub(crate) fingerprint: String,
    pub(crate) ports: Ports,
    /// Started in this order, stopped in the reverse one.
    pub(crate) programs: Vec<Launch>,
}

/// What a process loses when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Memory {
    /// Nothing that anyone else must restore.
    None,
    /// All AWS resources and data: a deployment restores them.
    Resources,
    /// All topics and offsets: the supervisor makes the topics again.
    Topics,
}

/// How to see that a process serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Probe {
    /// It lives.
    Alive,
    /// It accepts connections on this port.
    Accepts {
        /// On 127.0.0.1.
        port: u16,
    },
    /// It answers 2xx.
    Answers {
        /// On 127.0.0.1.
        port: u16,
        /// With a leading slash.
        path: String,
    },
}

impl Probe {
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Alive => None,
            Self::Accepts { port } | Self::Answers { port, .. } => Some(*port),
        }
    }
}

/// How to start one process: everything but the marker, which the supervisor adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) probe: Probe,
    pub(crate) memory: Memory,
    /// From the request to end until it is killed.
    pub(crate) grace_secs: u64,
}

impl Launch {
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_secs)
    }
}

/// A Kafka topic that belongs to the platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: u32,
}

/// What runs, as the supervisor last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) schema: u32,
    pub(crate) id: PlatformId,
    pub(crate) checkout: PathBuf,
    pub(crate) environment: String,
    pub(crate) fingerprint: String,
    pub(crate) ports: Ports,
    pub(crate) supervisor: Option<SupervisorRecord>,
    pub(crate) processes: BTreeMap<String, ProcessRecord>,
    /// How to see that each of the processes serves.
    pub(crate) probes: BTreeMap<String, Probe>,
    /// The consumers, because they are ordered later than the rest.
    pub(crate) consumers: Vec<Launch>,
    pub(crate) topics: Vec<Topic>,
    /// When the emulator died with everything deployed in it; until a deployment restores it.
    pub(crate) state_lost_at: Option<String>,
}

/// The supervisor and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SupervisorRecord {
    pub(crate) identity: Identity,
    pub(crate) started_at: String,
    pub(crate) control_port: u16,
    /// Whoever can read the state file may give orders.
    pub(crate) token: String,
}

/// One process that is kept running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    /// `None` while it is dead.
    pub(crate) identity: Option<Identity>,
    /// What was started last: tells a replacement from what it replaces.
    pub(crate) program: Option<PathBuf>,
    pub(crate) port: Option<u16>,
    pub(crate) started_at: Option<String>,
    /// Starts after the first.
    pub(crate) restarts: u32,
    /// Times that it died in a row, without a sound while in between.
    pub(crate) failures: u32,
    /// How it last ended, for people.
    pub(crate) last_end: Option<String>,
}

impl State {
    /// A platform of which nothing runs yet.
    pub(crate) fn new(folder: &Folder, orders: &Orders) -> Self {
        Self {
            schema: SCHEMA,
            id: folder.id(),
            checkout: folder.checkout().to_owned(),
            environment: folder.environment().to_owned(),
            fingerprint: orders.fingerprint.clone(),
            ports: orders.ports,
            supervisor: None,
            processes: BTreeMap::new(),
            probes: BTreeMap::new(),
            consumers: Vec::new(),
            topics: Vec::new(),
            state_lost_at: None,
        }
    }

    /// The record in `folder`; `None` when there is none that this version understands and that belongs here.
    ///
    /// A copied checkout carries the record of the original, whose processes must be left alone.
    pub(crate) fn load(folder: &Folder) -> Result<Option<Self>, Problem> {
        match files::read_json::<Self>(&folder.state_file()) {
            Ok(state) => Ok(state.filter(|state| state.schema == SCHEMA && state.id == folder.id())),
            Err(Problem::Json { .. }) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    pub(crate) fn save(&self, folder: &Folder) -> Result<(), Problem> {
        files::write_json(&folder.state_file(), self)
    }

    /// The supervisor, if it lives.
    pub(crate) fn live_supervisor(&self) -> Option<&SupervisorRecord> {
        self.supervisor.as_ref().filter(|record| record.identity.is_alive())
    }

    /// Every process in the record, living or not.
    pub(crate) fn recorded(&self) -> Vec<Identity> {
        let supervisor = self.supervisor.iter().map(|record| record.identity.clone());
        supervisor.chain(self.processes.values().filter_map(|record| record.identity.clone())).collect()
    }
}

/// Now, as written into the record: RFC 3339, UTC.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn orders() -> Orders {
        let ports = Ports { emulator: 1, broker: 2, schema_registry: 3, consumer: 4 };
        Orders { schema: SCHEMA, fingerprint: "f".to_owned(), ports, programs: Vec::new() }
    }

    #[test]
    fn the_record_of_a_copied_checkout_is_not_taken_for_our_own() {
        let (original, copy) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let original = Folder::of(original.path(), "sandbox").expect("a good name");
        let copy = Folder::of(copy.path(), "sandbox").expect("a good name");
        original.create().expect("writable");
        copy.create().expect("writable");
        let state = State::new(&original, &orders());
        state.save(&original).expect("writable");
        assert_eq!(State::load(&original).expect("readable"), Some(state));
        fs::copy(original.state_file(), copy.state_file()).expect("writable");
        assert_eq!(State::load(&copy).expect("readable"), None);
    }

    #[test]
    fn a_damaged_or_foreign_record_counts_as_none() {
        let checkout = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(checkout.path(), "sandbox").expect("a good name");
        folder.create().expect("writable");
        for text in ["", "{", "{\"schema\": 99}"] {
            fs::write(folder.state_file(), text).expect("writable");
            assert_eq!(State::load(&folder).expect("no failure"), None, "{text}");
        }
        let mut state = State::new(&folder, &orders());
        state.schema = SCHEMA + 1;
        state.save(&folder).expect("writable");
        assert_eq!(State::load(&folder).expect("no failure"), None);
    }
}
