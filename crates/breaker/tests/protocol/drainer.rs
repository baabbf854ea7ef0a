//! The drain's part of the model: it probes, sends what is parked, clears flags and declares the lot empty.

use breaker::{
    ClearFlag, EmptyCheck, EventKey, KeyDrain, KeyFlag, KeyStep, Millis, ProbeResult, Shared, Stamp, Step, Turn,
};

use crate::router::trip;
use crate::world::{
    Broken, JITTER, LateWrite, NOW, Setup, World, event_of, is_stored, owner, parked_event, same_admission,
};

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
    key: usize,
    tail: u8,
}

/// The drain of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    flag: Flag,
    right: Right,
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

pub(crate) fn step(world: &mut World, setup: &Setup, drainer: usize, action: DrainerAction) {
    let here = std::mem::replace(&mut world.drainers[drainer], Drainer::Idle);
    let next = match (here, action) {
        (Drainer::Idle, DrainerAction::Read) => Drainer::Turn(world.read()),
        (Drainer::Turn(shared), DrainerAction::ReadFlag(key)) => read_flag(world, setup, drainer, shared, key),
        (Drainer::Turn(shared), DrainerAction::BeginCheck) => Drainer::Check(shared, 0),
        (Drainer::Lease(shared, flag), DrainerAction::WriteLease) => write_lease(world, setup, drainer, &shared, flag),
        (Drainer::Lease(shared, flag), DrainerAction::LeaseUnanswered) => {
            write_lease(world, setup, drainer, &shared, flag);
            Drainer::Idle
        }
        (Drainer::Head(work), DrainerAction::ReadHead) => read_head(world, setup, work),
        (Drainer::Send(work, number), DrainerAction::SendAcknowledged) => {
            world.arrive(work.flag.key, number);
            Drainer::Delete(work, number)
        }
        (Drainer::Send(work, number), DrainerAction::SendUnanswered) => {
            world.arrive(work.flag.key, number);
            send_failed(&work)
        }
        (Drainer::Send(work, _), DrainerAction::SendFailed) => send_failed(&work),
        (Drainer::Send(Work { right: Right::Closed(shared), .. }, _), DrainerAction::SendFailedAndTrips) => {
            Drainer::Trip(shared)
        }
        (Drainer::Delete(work, number), action) => delete(world, setup, work, number, action),
        (Drainer::Clear(work), DrainerAction::ClearFlag | DrainerAction::WriteAndCrash) => {
            clear(world, setup, work, action)
        }
        (Drainer::Report(result), DrainerAction::ReadForReport) => Drainer::WriteReport(result, world.read()),
        (Drainer::WriteReport(result, shared), DrainerAction::WriteReport) => {
            write_report(world, setup, drainer, result, &shared)
        }
        (Drainer::WriteReport(result, shared), DrainerAction::WriteAndCrash) => {
            write_report(world, setup, drainer, result, &shared);
            Drainer::Idle
        }
        (Drainer::Trip(shared), DrainerAction::WriteTrip) => {
            if let Step::Write(write) = shared.trip(&trip(), NOW, JITTER, &setup.settings) {
                world.write(setup, &write, &shared);
            }
            Drainer::Idle
        }
        (Drainer::Check(shared, key), DrainerAction::CheckKey) if world.keys[key].is_clear() => {
            Drainer::Check(shared, key + 1)
        }
        (Drainer::Check(shared, key), DrainerAction::WriteEmpty) if key == world.keys.len() => {
            write_empty(world, setup, shared);
            Drainer::Idle
        }
        _ => Drainer::Idle,
    };
    world.drainers[drainer] = next;
}

fn read_flag(world: &World, setup: &Setup, drainer: usize, shared: Shared, key: usize) -> Drainer {
    let Some(tail) = world.keys[key].tail else { return Drainer::Idle };
    let flag = Flag { key, tail };
    match shared.turn(&owner(drainer), NOW, &setup.settings) {
        Turn::Drain => Drainer::Head(Work { flag, right: Right::Closed(shared) }),
        Turn::Probe { .. } => Drainer::Lease(shared, flag),
        Turn::Rest | Turn::Wait(_) => Drainer::Idle,
    }
}

fn write_lease(world: &mut World, setup: &Setup, drainer: usize, shared: &Shared, flag: Flag) -> Drainer {
    let Turn::Probe { write, lease } = shared.turn(&owner(drainer), NOW, &setup.settings) else {
        return Drainer::Idle;
    };
    let written = write.is_none_or(|write| world.write(setup, &write, shared));
    if written || setup.breaks(Broken::ProbeWithoutLease) {
        Drainer::Head(Work { flag, right: Right::Probe(lease.expires) })
    } else {
        Drainer::Idle
    }
}

fn key_drain(flag: Flag) -> KeyDrain {
    let tail = Stamp { run: 1, number: u64::from(flag.tail) };
    KeyDrain::begin(KeyFlag { key: EventKey(flag.key.to_string().into()), tail })
}

fn read_head(world: &mut World, setup: &Setup, work: Work) -> Drainer {
    let key = work.flag.key;
    let newest = setup.breaks(Broken::NewestFirst);
    let head = if newest { world.keys[key].newest() } else { world.keys[key].oldest() };
    match key_drain(work.flag).next(head.map(|number| parked_event(key, number))) {
        KeyStep::Send(event) => {
            let (key, number) = event_of(&event.key, &event.position);
            if setup.breaks(Broken::DeleteBeforeSend) {
                world.delete(key, number);
            }
            Drainer::Send(work, number)
        }
        KeyStep::Clear(_) => Drainer::Clear(work),
    }
}

fn send_failed(work: &Work) -> Drainer {
    match work.right {
        Right::Probe(_) => Drainer::Report(ProbeResult::Failure),
        Right::Closed(_) => Drainer::Idle,
    }
}

fn delete(world: &mut World, setup: &Setup, work: Work, number: u8, action: DrainerAction) -> Drainer {
    let delete = parked_event(work.flag.key, number).acknowledged();
    let (key, number) = event_of(&delete.key, &delete.position);
    match action {
        DrainerAction::Delete | DrainerAction::WriteAndCrash => world.delete(key, number),
        DrainerAction::CrashWhileDeleting if setup.late_writes => world.late = Some(LateWrite::Delete(key, number)),
        _ => {}
    }
    match (action, &work.right) {
        (DrainerAction::Delete, Right::Probe(_)) => Drainer::Report(ProbeResult::Success),
        (DrainerAction::Delete, Right::Closed(_)) => Drainer::Head(work),
        _ => Drainer::Idle,
    }
}

fn clear(world: &mut World, setup: &Setup, work: Work, action: DrainerAction) -> Drainer {
    let KeyStep::Clear(clear) = key_drain(work.flag).next(None) else { unreachable!("there is nothing to send") };
    if clear_takes_place(world, setup, work.flag.key, &clear) {
        world.delete_flag(work.flag.key);
    }
    match (action, work.right) {
        (DrainerAction::ClearFlag, Right::Probe(_)) => Drainer::Report(ProbeResult::Inconclusive),
        _ => Drainer::Idle,
    }
}

fn clear_takes_place(world: &World, setup: &Setup, key: usize, clear: &ClearFlag) -> bool {
    let tail = |tail| Stamp { run: 1, number: u64::from(tail) };
    let stored = world.keys[key].tail.map(|stored| KeyFlag { key: clear.key.clone(), tail: tail(stored) });
    clear.holds(stored.as_ref()) || setup.breaks(Broken::ClearWithoutTail)
}

fn write_report(world: &mut World, setup: &Setup, drainer: usize, result: ProbeResult, shared: &Shared) -> Drainer {
    match shared.probe_ended(&owner(drainer), result, NOW, JITTER, &setup.settings) {
        Step::Write(write) if !world.write(setup, &write, shared) => Drainer::Report(result),
        Step::Write(_) | Step::Keep => Drainer::Idle,
    }
}

fn write_empty(world: &mut World, setup: &Setup, shared: Shared) {
    let before = if setup.breaks(Broken::EmptyByLaterRecord) { world.read() } else { shared };
    let Some(check) = EmptyCheck::begin(&before) else { return };
    let Step::Write(mut write) = check.end(0) else { return };
    if setup.breaks(Broken::EmptyWithoutParks) {
        write.condition = breaker::Condition::Version(before.version);
    }
    world.write(setup, &write, &before);
}
