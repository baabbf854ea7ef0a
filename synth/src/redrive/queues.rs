//! Which queues hold what was given up on, and how each is replayed.
//!
//! The queues are those that the stacks declare. A new one must be named in [`kind_of`]; a test says so.

use contracts::{EventRouter, EventTransformer, Region, StreamProcessor};
use infra::environment::Environment;
use infra::system::Subject;

use crate::error::Error;

/// The queue that the transformer works on, without system and environment.
pub(super) const RAW_EVENTS: &str = "raw-events";

/// How the messages of a queue are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Dead letters of a function that reads streams: it is started with the record.
    StreamLetters {
        /// The function.
        function: &'static str,
    },
    /// Dead letters of a function that reads a queue: the message goes into that queue again.
    QueueLetters {
        /// The function.
        function: &'static str,
    },
    /// Messages as they came, for the same queue.
    Messages,
    /// What is in it can't be replayed from there.
    Not {
        /// Why.
        why: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

impl Kind {
    /// How it is replayed, for people.
    pub(super) fn says(self) -> String {
        match self {
            Self::StreamLetters { function } => format!("through `{function}`"),
            Self::QueueLetters { .. } | Self::Messages => format!("into `{RAW_EVENTS}`"),
            Self::Not { .. } => "not from here".to_owned(),
        }
    }
}

/// How the queue of this short name is replayed; none when nobody has decided that yet.
fn known(name: &str) -> Option<Kind> {
    const POINTERS: Kind = Kind::Not {
        why: "it holds places in a stream and no records",
        instead: "follow `pointers-waiting` in docs/runbooks.md within 24 hours of the change: save the keys, then touch the rows",
    };
    const STARTS: Kind = Kind::Not {
        why: "it holds starts by the clock, and the next start has done their work",
        instead: "mend the cause (`schedule-failed` in docs/runbooks.md), then delete them one by one",
    };
    Some(match name {
        "stream-processor-dead-letters" => Kind::StreamLetters { function: StreamProcessor::NAME },
        "event-router-dead-letters" => Kind::StreamLetters { function: EventRouter::NAME },
        "event-transformer-dead-letters" => Kind::QueueLetters { function: EventTransformer::NAME },
        // A rule without an input transformer: what it couldn't deliver is what the queue would have got.
        "raw-events-dead-letters" | "raw-events-undelivered" => Kind::Messages,
        "stream-processor-failures" | "event-router-failures" => POINTERS,
        "event-router-undelivered"
        | "event-router-drain-failures"
        | "health-checker-undelivered"
        | "health-checker-failures" => STARTS,
        "observer-dead-letters" => Kind::Not {
            why: "it holds events of synthetic rows, which only a smoke test that is over waited for",
            instead: "mend the cause (`rule-failed` in docs/runbooks.md), then delete them one by one",
        },
        "event-bus-dead-letters" => Kind::Not {
            why: "it holds events that the bus could not encrypt or decrypt, and they may be unreadable",
            instead: "restore the key's policy, then replay the time from the archive (`rule-events-lost` in docs/runbooks.md)",
        },
        _ => return None,
    })
}

/// How the queue of this short name is replayed.
pub(super) fn kind_of(name: &str) -> Kind {
    known(name).unwrap_or(Kind::Not {
        why: "nobody has said yet how its messages are replayed",
        instead: "read it and decide by hand (`dead-letters-waiting` in docs/runbooks.md)",
    })
}

/// A queue of what was given up on, in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) region: Region,
    /// Without system and environment.
    pub(super) name: String,
}

/// The environment's queues of what was given up on, region by region.
pub(super) fn queues(environment: &Environment) -> Vec<Queue> {
    let prefix = environment.name("");
    let mut queues = Vec::new();
    for stack in infra::system(environment).stacks {
        queues.extend(stack.watches.into_iter().filter_map(|watch| {
            let (Subject::DeadLetters { queue } | Subject::Pointers { queue }) = watch.subject else { return None };
            let name = queue.strip_prefix(&prefix).unwrap_or(&queue).to_owned();
            Some(Queue { region: stack.id.region.clone(), name })
        }));
    }
    let place = |region: &Region| environment.regions().position(|other| other == region);
    queues.sort_by(|one, other| (place(&one.region), &one.name).cmp(&(place(&other.region), &other.name)));
    queues
}

/// The queue of that short name in that region, when it is one whose messages can be replayed.
pub(super) fn find(environment: &Environment, region: &Region, name: &str) -> Result<(Queue, Kind), Error> {
    let queues = queues(environment);
    let Some(queue) = queues.iter().find(|queue| queue.region == *region && queue.name == name) else {
        let known: Vec<&str> =
            queues.iter().filter(|queue| queue.region == *region).map(|queue| queue.name.as_str()).collect();
        return Err(Error::usage(format!("there is no dead-letter queue `{name}` in {region}"))
            .hint(format!("there are: {}", known.join(", "))));
    };
    match kind_of(name) {
        Kind::Not { why, instead } => {
            Err(Error::refused(format!("`{name}` can't be replayed: {why}")).hint(instead.to_owned()))
        }
        kind => Ok((queue.clone(), kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind as ErrorKind;
    use crate::redrive::tests::environment;

    #[test]
    fn each_queue_of_the_stacks_has_a_decision_and_nothing_else_has() {
        let queues = queues(&environment());
        assert!(queues.len() >= 20, "{queues:?}");
        for queue in &queues {
            assert!(known(&queue.name).is_some(), "say in `known` how `{}` is replayed", queue.name);
        }
        let names = ["stream-processor-dead-letters", "event-router-dead-letters", "event-transformer-dead-letters"];
        for name in names.into_iter().chain(["raw-events-dead-letters", "raw-events-undelivered"]) {
            assert_eq!(queues.iter().filter(|queue| queue.name == name).count(), 2, "{name}: one a region");
        }
        assert_eq!(queues[0].region.as_str(), "us-west-2", "the home region comes first");
    }

    #[test]
    fn the_work_queue_and_the_functions_are_those_of_the_stacks() {
        let environment = environment();
        let subjects: Vec<Subject> = infra::system(&environment)
            .stacks
            .into_iter()
            .flat_map(|stack| stack.watches.into_iter().map(|watch| watch.subject))
            .collect();
        assert!(subjects.contains(&Subject::WorkQueue { queue: environment.name(RAW_EVENTS) }));
        for name in [StreamProcessor::NAME, EventRouter::NAME] {
            let is_it = |subject: &Subject| matches!(subject, Subject::Function { function, reads_streams: true, .. } if *function == environment.name(name));
            assert!(subjects.iter().any(is_it), "{name}");
        }
    }

    #[test]
    fn an_unknown_queue_names_the_known_ones() {
        let environment = environment();
        let error = find(&environment, environment.primary(), "raw-events").expect_err("no dead letters");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.hints()[0].contains("raw-events-dead-letters, raw-events-undelivered"), "{:?}", error.hints());
    }

    #[test]
    fn what_cannot_be_replayed_is_refused_with_what_to_do_instead() {
        let environment = environment();
        for (name, says, instead) in [
            ("event-router-failures", "places in a stream", "pointers-waiting"),
            ("health-checker-failures", "starts by the clock", "schedule-failed"),
            ("event-router-drain-failures", "starts by the clock", "schedule-failed"),
            ("event-bus-dead-letters", "could not encrypt", "archive"),
        ] {
            let error = find(&environment, environment.primary(), name).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Refused, "{name}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.hints()[0].contains(instead), "{:?}", error.hints());
        }
        assert!(matches!(kind_of("something-new"), Kind::Not { .. }));
    }
}
