//! Choosing ports on 127.0.0.1: fixed ones as ordered, remembered ones if they are still free, else any free one.

use std::net::{Ipv4Addr, TcpListener};

use super::problem::Problem;
use super::state::Ports;

/// Ports that must be used; what is `None` is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedPorts {
    /// The emulated AWS endpoint; key `local.emulator_port`, variable `TANDEM_EMULATOR_PORT`.
    pub emulator: Option<u16>,
    /// The Kafka broker; key `local.kafka_port`, variable `TANDEM_KAFKA_PORT`.
    pub kafka: Option<u16>,
    /// The Schema Registry; key `local.schema_registry_port`, variable `TANDEM_SCHEMA_REGISTRY_PORT`.
    pub schema_registry: Option<u16>,
    /// The consumer's health and metrics; key `local.consumer_port`, variable `TANDEM_CONSUMER_PORT`.
    pub consumer: Option<u16>,
}

impl FixedPorts {
    /// These ports, with those replaced that `variable` (the process environment, usually) sets.
    ///
    /// # Errors
    /// A variable is set and is not a port from 1 to 65535.
    pub fn overridden_by(self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Problem> {
        let read = |name: &'static str, fixed: Option<u16>| match variable(name) {
            None => Ok(fixed),
            Some(value) => match value.parse::<u16>() {
                Ok(port) if port > 0 => Ok(Some(port)),
                _ => Err(Problem::PortInvalid { variable: name, value }),
            },
        };
        Ok(Self {
            emulator: read("TANDEM_EMULATOR_PORT", self.emulator)?,
            kafka: read("TANDEM_KAFKA_PORT", self.kafka)?,
            schema_registry: read("TANDEM_SCHEMA_REGISTRY_PORT", self.schema_registry)?,
            consumer: read("TANDEM_CONSUMER_PORT", self.consumer)?,
        })
    }

    /// Whether a platform on `ports` is what these settings ask for.
    pub(crate) fn allow(&self, ports: Ports) -> bool {
        let fits = |fixed: Option<u16>, port| fixed.is_none_or(|fixed| fixed == port);
        fits(self.emulator, ports.emulator)
            && fits(self.kafka, ports.broker)
            && fits(self.schema_registry, ports.schema_registry)
            && fits(self.consumer, ports.consumer)
    }
}

/// Chooses the ports of a platform of which nothing runs.
pub(crate) fn choose(fixed: FixedPorts, remembered: Option<Ports>) -> Result<Ports, Problem> {
    // Each listener is kept until all are chosen, so that no port is given out twice.
    let mut held = Vec::new();
    let mut one = |process, key, fixed: Option<u16>, remembered: Option<u16>| {
        let listener = match fixed {
            Some(port) => listen(port).map_err(|error| refusal(error, port, process, key))?,
            None => match remembered.map(listen) {
                Some(Ok(listener)) => listener,
                _ => listen(0).map_err(Problem::file("find a free port on", "127.0.0.1"))?,
            },
        };
        let port = listener.local_addr().map_err(Problem::file("read the port of", "127.0.0.1"))?.port();
        held.push(listener);
        Ok(port)
    };
    Ok(Ports {
        emulator: one("emulator", "local.emulator_port", fixed.emulator, remembered.map(|p| p.emulator))?,
        broker: one("Kafka broker", "local.kafka_port", fixed.kafka, remembered.map(|p| p.broker))?,
        schema_registry: one(
            "Schema Registry",
            "local.schema_registry_port",
            fixed.schema_registry,
            remembered.map(|p| p.schema_registry),
        )?,
        consumer: one("consumer", "local.consumer_port", fixed.consumer, remembered.map(|p| p.consumer))?,
    })
}

/// Fails if a fixed port is taken by anything but a platform on `own`; for finding out before that platform is ended.
pub(crate) fn check(fixed: FixedPorts, own: Ports) -> Result<(), Problem> {
    let own = [own.emulator, own.broker, own.schema_registry, own.consumer];
    let others = |port: Option<u16>| port.filter(|port| !own.contains(port));
    let others = FixedPorts {
        emulator: others(fixed.emulator),
        kafka: others(fixed.kafka),
        schema_registry: others(fixed.schema_registry),
        consumer: others(fixed.consumer),
    };
    choose(others, None).map(|_| ())
}

fn refusal(error: std::io::Error, port: u16, process: &'static str, key: &'static str) -> Problem {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        Problem::PortTaken { port, process, key }
    } else {
        // A port below 1024, for instance, which only root may open.
        Problem::file("listen on", format!("127.0.0.1:{port}"))(error)
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ports_differ_and_are_kept_while_they_are_free() {
        let first = choose(FixedPorts::default(), None).expect("free ports");
        let all = [first.emulator, first.broker, first.schema_registry, first.consumer];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        let holder = listen(first.broker).expect("free");
        let second = choose(FixedPorts::default(), Some(first)).expect("free ports");
        assert_ne!(second.broker, first.broker, "a remembered port that is taken gives way");
        drop(holder);
    }

    #[test]
    fn a_fixed_port_that_is_taken_is_named_with_the_key_that_sets_it() {
        let holder = listen(0).expect("a free port");
        let port = holder.local_addr().expect("bound").port();
        let fixed = FixedPorts { kafka: Some(port), ..FixedPorts::default() };
        let problem = choose(fixed, None).expect_err("the port is taken");
        assert_eq!(
            problem.to_string(),
            format!("port {port} on 127.0.0.1, which the Kafka broker is to use, is taken by another program")
        );
        let error = crate::error::Error::from(problem);
        assert!(error.hints()[1].contains("local.kafka_port"));
    }

    #[test]
    fn the_ports_of_the_platform_that_is_to_be_ended_do_not_count_as_taken() {
        let (ours, theirs) = (listen(0).expect("a free port"), listen(0).expect("a free port"));
        let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
        let own = Ports { emulator: port(&ours), broker: 0, schema_registry: 0, consumer: 0 };
        let kafka_on = |port| FixedPorts { kafka: Some(port), ..FixedPorts::default() };
        assert!(check(kafka_on(port(&ours)), own).is_ok());
        assert!(matches!(check(kafka_on(port(&theirs)), own), Err(Problem::PortTaken { .. })));
    }

    #[test]
    fn variables_win_over_the_environment_file_and_must_be_ports() {
        let fixed = FixedPorts { kafka: Some(9092), ..FixedPorts::default() };
        let read = |value: &'static str| {
            fixed.overridden_by(move |name| (name == "TANDEM_KAFKA_PORT").then(|| value.to_owned()))
        };
        assert_eq!(read("9093").expect("a port").kafka, Some(9093));
        assert_eq!(fixed.overridden_by(|_| None).expect("nothing set"), fixed);
        for value in ["0", "65536", "x", ""] {
            let problem = read(value).expect_err("not a port");
            assert_eq!(
                problem.to_string(),
                format!("`TANDEM_KAFKA_PORT` is `{value}`, which is not a port (1 to 65535)")
            );
        }
    }

    #[test]
    fn a_running_platform_fits_unless_a_fixed_port_differs() {
        let ports = Ports { emulator: 1, broker: 2, schema_registry: 3, consumer: 4 };
        assert!(FixedPorts::default().allow(ports));
        assert!(FixedPorts { kafka: Some(2), ..FixedPorts::default() }.allow(ports));
        assert!(!FixedPorts { kafka: Some(3), ..FixedPorts::default() }.allow(ports));
    }
}
