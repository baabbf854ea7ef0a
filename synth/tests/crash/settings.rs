//! How large a run is; from the process's environment.

use std::path::PathBuf;
use std::time::Duration;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Messages of the traffic.
    pub(crate) changes: u64,
    /// What traffic, kills and faults follow from. How they meet depends on the machine.
    pub(crate) seed: u64,
    /// Messages a second.
    pub(crate) rate: u32,
    /// Rows that each table can have.
    pub(crate) keys: u32,
    /// The program `dynoxide`, to be used instead of the emulator's DynamoDB.
    pub(crate) dynoxide: Option<PathBuf>,
    /// The consumer, to be used instead of one that is built from this checkout.
    pub(crate) consumer: Option<PathBuf>,
    /// Where to write the report as well.
    pub(crate) report: Option<PathBuf>,
}

/// Of an ordinary test run.
const CHANGES: u64 = 6_000;

impl Settings {
    /// `TANDEM_CRASH_CHANGES`, `_SEED`, `_RATE`, `_DYNOXIDE`, `_CONSUMER` and `_REPORT`; without any of them an ordinary run.
    pub(crate) fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name: &str, default: u64| {
            text(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
        };
        let changes = number("TANDEM_CRASH_CHANGES", CHANGES);
        assert!(
            changes >= 4_000,
            "TANDEM_CRASH_CHANGES must be 4,000 or more: of fewer changes nothing is left to crash"
        );
        Self {
            changes,
            seed: number("TANDEM_CRASH_SEED", 1),
            // Slow enough that messages still come when the first consumer and the first broker die.
            rate: u32::try_from(number("TANDEM_CRASH_RATE", (changes / 24).clamp(100, 1_500))).expect("a rate"),
            keys: u32::try_from((changes / 60).clamp(150, 3_000)).expect("few"),
            dynoxide: text("TANDEM_CRASH_DYNOXIDE").map(PathBuf::from),
            consumer: text("TANDEM_CRASH_CONSUMER").map(PathBuf::from),
            report: text("TANDEM_CRASH_REPORT").map(PathBuf::from),
        }
    }

    /// Until a run must be over. Alone on two cores it takes a quarter of that; other work on the machine slows it down.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(300 + self.changes / 50)
    }

    /// How long the chaos of one era lasts at least.
    pub(crate) fn chaos_least(&self) -> Duration {
        Duration::from_secs(16)
    }

    /// How long it lasts at most: what is left by then is worked on in peace.
    pub(crate) fn chaos_most(&self) -> Duration {
        Duration::from_secs(20 + self.changes / 500)
    }
}
