//! What goes wrong between the consumers and DynamoDB: a function of a seed and of how many requests there were.

use std::time::Duration;

use serde::Serialize;
use traffic::Random;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is passed on, and so is the answer.
    Passed,
    /// It is refused with this error; the table never sees it.
    Refused(Refusal),
    /// The connection ends before the table sees it.
    CutBefore,
    /// The table does it and the connection ends before the answer.
    CutAfter,
    /// The answer comes late.
    Late(Duration),
    /// It is answered as if it was done, and isn't: a flaw that no table has, for showing that it would be found.
    Swallowed,
}

/// An answer of DynamoDB that isn't success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The table's or the partition's capacity is used up.
    Capacity,
    /// The account makes too many requests.
    Throttling,
    /// A mistake of DynamoDB's own.
    Server,
}

impl Refusal {
    /// HTTP status and error code.
    pub(crate) fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Capacity => (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"),
            Self::Throttling => (400, "com.amazon.coral.availability#ThrottlingException"),
            Self::Server => (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
        }
    }
}

/// How it is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Everything passes.
    Calm,
    /// A few in a hundred requests fail, and now and then most of them for a while.
    Rough,
    /// Some writes are swallowed.
    Flawed,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) throttled: u64,
    pub(crate) server_errors: u64,
    pub(crate) cut_before: u64,
    pub(crate) cut_after: u64,
    pub(crate) late: u64,
    pub(crate) swallowed: u64,
}

/// Requests from the beginning of a storm to that of the next one.
const STORM_EVERY: u64 = 2_500;
/// Requests of a storm.
const STORM: u64 = 120;

/// Decides.
#[derive(Debug)]
pub(crate) struct Faults {
    random: Random,
    pub(crate) weather: Weather,
    pub(crate) done: Done,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), weather: Weather::Calm, done: Done::default() }
    }

    /// What becomes of the next request.
    pub(crate) fn fate(&mut self) -> Fate {
        self.done.requests += 1;
        let storm = self.done.requests % STORM_EVERY >= STORM_EVERY - STORM;
        let drawn = self.random.below(1_000);
        let fate = match self.weather {
            Weather::Calm => Fate::Passed,
            Weather::Flawed if drawn < 200 => Fate::Swallowed,
            Weather::Flawed => Fate::Passed,
            // In a storm each of these is twenty times as likely.
            Weather::Rough => match if storm { drawn / 20 } else { drawn } {
                0..12 => Fate::Refused(Refusal::Capacity),
                12..16 => Fate::Refused(Refusal::Throttling),
                16..24 => Fate::Refused(Refusal::Server),
                24..28 => Fate::CutBefore,
                28..36 => Fate::CutAfter,
                36..38 => Fate::Late(Duration::from_millis(50 + self.random.below(2_950))),
                _ => Fate::Passed,
            },
        };
        let count = match fate {
            Fate::Passed => return fate,
            Fate::Refused(Refusal::Capacity | Refusal::Throttling) => &mut self.done.throttled,
            Fate::Refused(Refusal::Server) => &mut self.done.server_errors,
            Fate::CutBefore => &mut self.done.cut_before,
            Fate::CutAfter => &mut self.done.cut_after,
            Fate::Late(_) => &mut self.done.late,
            Fate::Swallowed => &mut self.done.swallowed,
        };
        *count += 1;
        fate
    }
}

#[test]
fn faults_follow_from_their_seed_and_are_of_every_sort() {
    let fates = |seed| {
        let mut faults = Faults::new(seed);
        faults.weather = Weather::Rough;
        ((0..10_000).map(|_| faults.fate()).collect::<Vec<_>>(), faults.done)
    };
    let (first, done) = fates(1);
    assert_eq!(first, fates(1).0);
    assert_ne!(first, fates(2).0);
    let Done { requests, throttled, server_errors, cut_before, cut_after, late, swallowed } = done;
    assert_eq!((requests, swallowed), (10_000, 0));
    assert!([throttled, server_errors, cut_before, cut_after, late].iter().all(|count| *count >= 10), "{done:?}");
    assert!(throttled < 1_000, "{done:?}");
}
