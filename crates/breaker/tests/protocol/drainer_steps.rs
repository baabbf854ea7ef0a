//! What each action of a drain does to the world.

use breaker::{
    ClearFlag, Condition, EmptyCheck, EventKey, KeyDrain, KeyFlag, KeyStep, ProbeResult, Shared, Stamp, Step, Turn,
};

use crate::drainer::{Drainer, DrainerAction, Flag, Right, Work};
use crate::router::trip;
use crate::setup::{Broken, Setup};
use crate::world::{JITTER, LateWrite, NOW, World, event_of, owner, parked_event};

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
        write.condition = Condition::Version(before.version);
    }
    world.write(setup, &write, &before);
}
