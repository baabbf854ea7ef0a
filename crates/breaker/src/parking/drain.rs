//! Taking events out of the lot, in the order of their keys.

use super::{EventKey, KeyFlag, ParkedEvent, Position, Stamp};
use crate::settings::Settings;

/// The drain of one key: its oldest event is read and sent, and deleted after the peer has acknowledged it; then the next
/// one. When none is left, the flag goes.
///
/// It begins with the flag, read **before** the first read of events. Any number of drains may work on a key at the same
/// time, and one may have died: each sends an event only after it has sent the one before it or has seen that it is gone,
/// and an event goes only after it was acknowledged. So repeats are possible, and overtaking isn't.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct KeyDrain {
    flag: KeyFlag,
}

/// What a drain does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum KeyStep {
    /// Send the event, alone of its key. If the peer takes it, [`ParkedEvent::acknowledged`] follows and then the next
    /// read; so it does if the peer refuses the event itself and it lies in the dead-letter queue. Else the drain of this
    /// key ends here.
    Send(ParkedEvent),
    /// Clear the flag. If the condition fails, an event was parked meanwhile: the drain begins again with the new flag.
    Clear(ClearFlag),
}

impl KeyDrain {
    /// Begins with a flag that a strongly consistent read gave.
    pub fn begin(flag: KeyFlag) -> Self {
        Self { flag }
    }

    /// The key.
    pub fn key(&self) -> &EventKey {
        &self.flag.key
    }

    /// What to do, where `oldest` is the key's oldest event, by a strongly consistent read that began after the drain did.
    pub fn next(&self, oldest: Option<ParkedEvent>) -> KeyStep {
        match oldest {
            Some(event) => KeyStep::Send(event),
            None => KeyStep::Clear(ClearFlag { key: self.flag.key.clone(), if_tail: self.flag.tail }),
        }
    }
}

/// Deletes a parked event that the peer has acknowledged, whether it is there or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct DeleteEvent {
    /// The event's key.
    pub key: EventKey,
    /// Its place.
    pub position: Position,
}

/// Deletes the flag of a key, on condition that its tail is the one that was read before the key was seen without events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ClearFlag {
    /// The key.
    pub key: EventKey,
    /// The tail that the stored flag must have.
    pub if_tail: Stamp,
}

impl ClearFlag {
    /// Whether the condition holds of the stored flag.
    pub fn holds(&self, stored: Option<&KeyFlag>) -> bool {
        stored.is_some_and(|stored| stored.key == self.key && stored.tail == self.if_tail)
    }
}

/// How many events a drain sends side by side, each of another key: 1, 2, 4 and so on, so that a peer that has just come
/// back isn't hit by everything at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ramp {
    allowance: u32,
    max: u32,
}

impl Ramp {
    /// A ramp at its foot. Each run of a drain begins there.
    pub fn new(settings: &Settings) -> Self {
        Self { allowance: 1, max: settings.thresholds().drain_max }
    }

    /// How many events may be sent now; at least 1.
    pub fn allowance(&self) -> u32 {
        self.allowance
    }

    /// All that were sent were acknowledged.
    pub fn succeeded(&mut self) {
        self.allowance = self.allowance.saturating_mul(2).min(self.max);
    }

    /// One that was sent failed. What the failure means to the breaker is the window's business.
    pub fn failed(&mut self) {
        self.allowance = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Thresholds;

    #[test]
    fn a_drain_sends_the_oldest_and_then_clears() {
        let stamp = |number| Stamp { run: 9, number };
        let flag = |number| KeyFlag { key: EventKey("k".into()), tail: stamp(number) };
        let drain = KeyDrain::begin(flag(1));
        let KeyStep::Clear(clear) = drain.next(None) else { panic!("nothing to send") };
        assert!(clear.holds(Some(&flag(1))));
        assert!(!clear.holds(Some(&flag(2))), "an event was parked meanwhile");
        assert!(!clear.holds(None));
    }

    #[test]
    fn the_ramp_doubles_up_to_its_top_and_falls_to_its_foot() {
        let settings = Settings::new(Thresholds { drain_max: 10, ..Thresholds::default() }).expect("valid");
        let mut ramp = Ramp::new(&settings);
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(ramp.allowance());
            ramp.succeeded();
        }
        assert_eq!(seen, [1, 2, 4, 8, 10, 10]);
        ramp.failed();
        assert_eq!(ramp.allowance(), 1);
    }
}
