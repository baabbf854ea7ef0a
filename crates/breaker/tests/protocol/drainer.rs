//! The drain's part of the model: it probes, sends what is parked, clears flags and declares the lot empty.

use breaker::{Millis, ProbeResult, Shared, Turn};

use crate::setup::Setup;
use crate::world::{NOW, World, is_stored, owner, same_admission};

/// Where a drain is. All of it is lost when it dies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Drainer {
    Idle,
    /// It has read the record.
    Turn(Shared),
    /// It has read a flag, and is about to write the lease of a probe.
    Lease(Shared, Flag),
    /// It is about to read the key's oldest event.
    Head(Work),
    /// It is about to send an event.
    Send(Work, u8),
    /// The peer has acknowledged the event.
    Delete(Work, u8),
    /// The key was seen without events.
    Clear(Work),
    /// A probe has ended.
    Report(ProbeResult),
    /// The same, with the record read.
    WriteReport(ProbeResult, Shared),
    /// A send failed and the window says that the peer is sick.
    Trip(Shared),
    /// It checks that the lot is empty. The keys before this one were seen so.
    Check(Shared, usize),
}

/// A key and its flag's tail as it was read: 1 if that is the stored one, else 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flag {
    pub(crate) key: usize,
    pub(crate) tail: u8,
}

/// The drain of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub(crate) flag: Flag,
    pub(crate) right: Right,
}

/// By what right a drain sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// The breaker is closed, as this record says.
    Closed(Shared),
    /// It has a lease to this moment.
    Probe(Millis),
}

/// What can happen to a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainerAction {
    Read,
    ReadFlag(usize),
    BeginCheck,
    WriteLease,
    LeaseUnanswered,
    ReadHead,
    SendAcknowledged,
    SendUnanswered,
    SendFailed,
    SendFailedAndTrips,
    Delete,
    ClearFlag,
    ReadForReport,
    WriteReport,
    WriteTrip,
    CheckKey,
    WriteEmpty,
    /// What it wrote took place, but it dies.
    WriteAndCrash,
    /// It is too late for what it was about to do, or it dies.
    Crash,
    /// It dies while its delete is on its way.
    CrashWhileDeleting,
}

impl DrainerAction {
    /// Whether it can go on happening when nothing is out of order.
    pub(crate) fn is_regular(self) -> bool {
        use DrainerAction::*;
        let fault =
            [LeaseUnanswered, SendUnanswered, SendFailed, SendFailedAndTrips, WriteAndCrash, Crash, CrashWhileDeleting];
        !fault.contains(&self)
    }
}

impl Drainer {
    fn work(&mut self) -> Option<&mut Work> {
        match self {
            Self::Head(work) | Self::Send(work, _) | Self::Delete(work, _) | Self::Clear(work) => Some(work),
            _ => None,
        }
    }

    pub(crate) fn held(&mut self) -> Option<&mut Shared> {
        match self {
            Self::Turn(shared)
            | Self::Lease(shared, _)
            | Self::WriteReport(_, shared)
            | Self::Trip(shared)
            | Self::Check(shared, _) => Some(shared),
            _ => match &mut self.work()?.right {
                Right::Closed(shared) => Some(shared),
                Right::Probe(_) => None,
            },
        }
    }

    /// Where it is, as a number.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Turn(_) => 1,
            Self::Lease(..) => 2,
            Self::Head(_) => 3,
            Self::Send(..) => 4,
            Self::Delete(..) => 5,
            Self::Clear(_) => 6,
            Self::Report(_) => 7,
            Self::WriteReport(..) => 8,
            Self::Trip(_) => 9,
            Self::Check(..) => 10,
        }
    }

    /// The moment at which its lease ends.
    pub(crate) fn lease(&mut self) -> Option<&mut Millis> {
        match &mut self.work()?.right {
            Right::Probe(expires) => Some(expires),
            Right::Closed(_) => None,
        }
    }

    /// Whether it believes that it may probe.
    pub(crate) fn is_probing(&self) -> bool {
        match self {
            Self::Head(work) | Self::Send(work, _) => {
                matches!(work.right, Right::Probe(expires) if NOW < expires)
            }
            _ => false,
        }
    }

    pub(crate) fn sends_probe_of(&self, key: usize) -> bool {
        matches!(self, Self::Send(Work { flag, right: Right::Probe(_) }, _) if flag.key == key)
    }

    pub(crate) fn tail_of(&mut self, key: usize) -> Option<&mut u8> {
        let flag = match self {
            Self::Lease(_, flag) => flag,
            _ => &mut self.work()?.flag,
        };
        (flag.key == key).then_some(&mut flag.tail)
    }

    /// Forgets what no longer matters: the number of parks outside of a check, and what an old record says beside its kind
    /// where all that follows is a write that will lose.
    pub(crate) fn simplify(&mut self) {
        let checks = matches!(self, Self::Turn(_) | Self::Check(..));
        let loses = matches!(self, Self::Trip(_) | Self::Check(..)) || self.work().is_some();
        let Some(shared) = self.held() else { return };
        if loses && !is_stored(shared) {
            *shared = same_admission(shared);
        } else if !checks {
            shared.parks = 0;
        }
    }
}

pub(crate) fn actions(world: &World, setup: &Setup, drainer: usize, actions: &mut Vec<DrainerAction>) {
    use DrainerAction::*;
    match &world.drainers[drainer] {
        Drainer::Idle => {
            let turn = world.read().turn(&owner(drainer), NOW, &setup.settings);
            let flagged = world.keys.iter().any(|key| key.tail.is_some());
            // To read and find nothing to do changes nothing.
            if turn == Turn::Drain || matches!(turn, Turn::Probe { .. }) && flagged {
                actions.push(Read);
            }
            return;
        }
        Drainer::Turn(shared) => {
            let flagged = (0..world.keys.len()).filter(|key| world.keys[*key].tail.is_some());
            actions.extend(flagged.map(ReadFlag));
            if shared.turn(&owner(drainer), NOW, &setup.settings) == Turn::Drain {
                actions.push(BeginCheck);
            }
        }
        Drainer::Lease(..) => actions.extend([WriteLease, LeaseUnanswered]),
        Drainer::Head(_) => actions.push(ReadHead),
        Drainer::Send(Work { right: Right::Probe(expires), .. }, _) if *expires <= NOW => {}
        Drainer::Send(work, _) => match (world.peer_up, &work.right) {
            (true, _) => actions.extend([SendAcknowledged, SendUnanswered]),
            (false, Right::Probe(_)) => actions.push(SendFailed),
            (false, Right::Closed(_)) => actions.extend([SendFailed, SendFailedAndTrips]),
        },
        Drainer::Delete(..) => actions.extend([Delete, WriteAndCrash, CrashWhileDeleting]),
        Drainer::Clear(_) => actions.extend([ClearFlag, WriteAndCrash]),
        Drainer::Report(_) => actions.push(ReadForReport),
        Drainer::WriteReport(..) => actions.extend([WriteReport, WriteAndCrash]),
        Drainer::Trip(_) => actions.push(WriteTrip),
        Drainer::Check(_, key) if *key < world.keys.len() => actions.push(CheckKey),
        Drainer::Check(..) => actions.push(WriteEmpty),
    }
    actions.push(Crash);
}
