//! The command lines and environments of the emulator, the broker and the consumers.
//!
//! Each process gets a whole environment of its own and inherits nothing: the emulator hands its environment on to
//! every function, and a stray `AWS_PROFILE` or proxy setting would change how they behave.

use std::collections::BTreeMap;
use std::path::Path;

use super::folder::Folder;
use super::install::Installation;
use super::platform::ConsumerProcess;
use super::state::{BROKER, EMULATOR, Launch, Memory, Orders, Ports, Probe, SCHEMA};

/// The account's root key on the local platform.
pub(crate) const ROOT_ACCESS_KEY: &str = "test";
/// The secret that belongs to it; it protects nothing beyond this machine's loopback interface.
pub(crate) const ROOT_SECRET_KEY: &str = "test";

/// Enough for programs and functions; what people put into their own `PATH` stays out.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The consumer drains for up to 30 s and then needs a moment to end.
const CONSUMER_GRACE_SECS: u64 = 35;

/// Starts the emulator and the broker of `installation` on `ports`.
pub(crate) fn orders(folder: &Folder, installation: &Installation, ports: Ports) -> Orders {
    Orders {
        schema: SCHEMA,
        fingerprint: installation.fingerprint.clone(),
        ports,
        programs: vec![emulator(folder, installation, ports.emulator), broker(folder, installation, ports.broker)],
    }
}

fn emulator(folder: &Folder, installation: &Installation, port: u16) -> Launch {
    let mut environment = common(folder);
    environment.insert("PYTHONPATH".to_owned(), installation.emulator.to_string_lossy().into_owned());
    environment.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
    let port_text = port.to_string();
    // What the emulated services themselves read from the environment is the matter of the emulator's package.
    let arguments = ["-m", "tandem_emulator", "--host", "127.0.0.1", "--port", &port_text, "--log-level", "WARNING"];
    Launch {
        name: EMULATOR.to_owned(),
        program: installation.python.clone(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment,
        probe: Probe::Answers { port, path: "/_local/health".to_owned() },
        memory: Memory::Resources,
        grace_secs: 10,
    }
}

fn broker(folder: &Folder, installation: &Installation, port: u16) -> Launch {
    let address = format!("tcp://127.0.0.1:{port}");
    let arguments = [
        "broker",
        "--storage-engine",
        "memory://tansu/",
        "--listener-url",
        &address,
        "--advertised-listener-url",
        &address,
    ];
    Launch {
        name: BROKER.to_owned(),
        program: installation.broker.clone(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: common(folder),
        probe: Probe::Accepts { port },
        memory: Memory::Topics,
        grace_secs: 5,
    }
}

/// Runs `binary`, a copy that nobody changes, as `process` asks.
pub(crate) fn consumer(folder: &Folder, process: &ConsumerProcess, binary: &Path) -> Launch {
    let mut environment = common(folder);
    environment.extend(process.environment.clone());
    let probe = match process.health_port {
        Some(port) => Probe::Answers { port, path: "/health".to_owned() },
        None => Probe::Alive,
    };
    Launch {
        name: consumer_name(&process.region),
        program: binary.to_owned(),
        arguments: Vec::new(),
        environment,
        probe,
        memory: Memory::None,
        grace_secs: CONSUMER_GRACE_SECS,
    }
}

/// The process name of the consumer of `region`.
pub(crate) fn consumer_name(region: &str) -> String {
    format!("consumer-{region}")
}

fn common(folder: &Folder) -> BTreeMap<String, String> {
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    [
        ("HOME".to_owned(), path(folder.home())),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("PATH".to_owned(), SEARCH_PATH.to_owned()),
        ("TMPDIR".to_owned(), path(folder.temporary())),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_callers_environment_reaches_the_emulator() {
        let checkout = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(checkout.path(), "sandbox").expect("a good name");
        let installation = Installation {
            python: "/v/bin/python".into(),
            emulator: "/c/synth/emulator".into(),
            broker: "/v/tansu".into(),
            fingerprint: "f".to_owned(),
        };
        let ports = Ports { emulator: 4566, broker: 9092, schema_registry: 8081, consumer: 9090 };
        let orders = orders(&folder, &installation, ports);
        let names: Vec<&str> = orders.programs[0].environment.keys().map(String::as_str).collect();
        assert_eq!(names, ["HOME", "LANG", "PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "TMPDIR"]);
        assert!(orders.programs[0].arguments.contains(&"4566".to_owned()));
        assert!(orders.programs[1].arguments.contains(&"tcp://127.0.0.1:9092".to_owned()));
    }
}
