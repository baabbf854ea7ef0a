//! Every state that a small model can reach, by an exhaustive search.

use breaker::{Command, Lot, Settings, Shared, State, StateName, Step, Thresholds};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Instant;

use crate::drainer::{self, DrainerAction};
use crate::drainer_steps;
use crate::router::{self, RouterAction};
use crate::setup::{Broken, Setup, thresholds};
use crate::world::{KeyWorld, NOW, World, Wrong, fingerprint};

/// The model, with a memory of the states that are known to drain.
struct Protocol {
    setup: Setup,
    draining: Mutex<HashSet<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Router(usize, RouterAction),
    Drainer(usize, DrainerAction),
    PeerChanges,
    Tick,
    LateWrite,
    Operator(Command),
}

const NO_OVERTAKING: &str = "events of a key first arrive in their order";
const ONE_WINNER: &str = "one write follows each version of the record";
const NOTHING_LOST: &str = "a record that is done has arrived or is parked";
const EMPTY_LOT: &str = "a lot that is declared empty is empty";
const FLAGGED: &str = "the key of a parked event is flagged";
const FEW_PROBES: &str = "no more probes run than may";
const DRAINS: &str = "all is sent and the lot is declared empty once faults end";

impl Protocol {
    fn new(setup: Setup) -> Self {
        Self { setup, draining: Mutex::default() }
    }

    fn step(&self, world: &World, action: Action) -> World {
        let mut next = world.clone();
        match action {
            Action::Router(shard, action) => router::step(&mut next, &self.setup, shard, action),
            Action::Drainer(drainer, action) => drainer_steps::step(&mut next, &self.setup, drainer, action),
            Action::PeerChanges => next.peer_up = !next.peer_up,
            Action::Tick => next.tick(),
            Action::LateWrite => next.late_write(&self.setup),
            Action::Operator(command) => {
                let shared = next.read();
                if let Step::Write(write) = shared.command(command, "", NOW) {
                    next.write(&self.setup, &write, &shared);
                }
            }
        }
        next.normalize();
        next
    }

    /// Whether all is sent, and the lot is declared empty, if from here on nothing goes wrong any more.
    fn drains(&self, world: &World) -> bool {
        let mut draining = self.draining.lock().expect("no panic before");
        let mut world = World { peer_up: true, ..world.clone() };
        let mut path = HashSet::new();
        while !self.is_drained(&world) {
            let seen = fingerprint(&world);
            if draining.contains(&seen) {
                break;
            }
            let Some(action) = self.regular_action(&world).filter(|_| path.insert(seen)) else { return false };
            world = self.step(&world, action);
        }
        draining.extend(path);
        true
    }

    /// An open breaker with nothing to probe with waits for the next event; that, too, is the end.
    fn is_drained(&self, world: &World) -> bool {
        let shared = world.read();
        let settled =
            shared.state.lot() == Lot::Empty || matches!(shared.state, State::Open { .. } | State::HalfOpen { .. });
        settled
            && world.late.is_none()
            && world.keys.iter().all(KeyWorld::is_clear)
            && world.routers.iter().enumerate().all(|(shard, router)| router.is_done(&self.setup, shard))
    }

    fn regular_action(&self, world: &World) -> Option<Action> {
        if world.late.is_some() {
            return Some(Action::LateWrite);
        }
        if world.read().state == State::ForcedOpen {
            return Some(Action::Operator(Command::Release));
        }
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        let regular = |action: &Action| match action {
            Action::Router(_, action) => action.is_regular(),
            Action::Drainer(_, action) => action.is_regular(),
            Action::Tick | Action::PeerChanges | Action::LateWrite | Action::Operator(_) => false,
        };
        // A drain that has nothing to send, or no right to any more, stops; else all wait for the time to pass.
        let stops = |action: &Action| matches!(action, Action::Drainer(_, DrainerAction::Crash));
        let first = |which: &dyn Fn(&Action) -> bool| actions.iter().copied().find(which);
        first(&regular).or_else(|| first(&stops)).or(Some(Action::Tick))
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.setup)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for shard in 0..world.routers.len() {
            let mut of_router = Vec::new();
            router::actions(world, &self.setup, shard, &mut of_router);
            actions.extend(of_router.into_iter().map(|action| Action::Router(shard, action)));
        }
        for drainer in 0..world.drainers.len() {
            let mut of_drainer = Vec::new();
            drainer::actions(world, &self.setup, drainer, &mut of_drainer);
            actions.extend(of_drainer.into_iter().map(|action| Action::Drainer(drainer, action)));
        }
        actions.extend([Action::Tick, Action::PeerChanges]);
        if world.late.is_some() {
            actions.push(Action::LateWrite);
        }
        if self.setup.operator {
            let commands = [Command::ForceOpen, Command::ForceClosed, Command::MetricsOnly, Command::Release];
            actions.extend(commands.map(Action::Operator));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(self.step(world, action)).filter(|next| next != world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NO_OVERTAKING, |_, world: &World| world.wrong != Some(Wrong::Overtaken)),
            Property::always(ONE_WINNER, |_, world: &World| world.wrong != Some(Wrong::SecondWinner)),
            Property::always(NOTHING_LOST, |model: &Self, world: &World| nothing_is_lost(&model.setup, world)),
            Property::always(EMPTY_LOT, |_, world: &World| {
                world.read().state.lot() == Lot::InUse || world.keys.iter().all(KeyWorld::is_clear)
            }),
            Property::always(FLAGGED, |_, world: &World| {
                world.keys.iter().all(|key| key.parked == 0 || key.tail.is_some())
            }),
            Property::always(FEW_PROBES, |model: &Self, world: &World| {
                let most = model.setup.settings.thresholds().probes as usize;
                world.drainers.iter().filter(|drainer| drainer.is_probing()).count() <= most && leases(world) <= most
            }),
            Property::always(DRAINS, |model: &Self, world: &World| model.drains(world)),
            Property::sometimes("is open", |_, world: &World| world.read().state.name() == StateName::Open),
            Property::sometimes("is half-open", |_, world: &World| world.read().state.name() == StateName::HalfOpen),
            Property::sometimes("is closed again and drains", |_, world: &World| {
                world.read().state == State::Closed { lot: Lot::InUse }
            }),
            Property::sometimes("is closed again and empty", |_, world: &World| {
                world.stored.as_ref().is_some_and(|shared| shared.state == State::Closed { lot: Lot::Empty })
            }),
            Property::sometimes("waits longer after a failed probe", |_, world: &World| {
                matches!(world.read().state, State::Open { step: 1, .. })
            }),
            Property::sometimes("what has arrived is parked again", |_, world: &World| {
                world.keys.iter().any(|key| (0..key.arrived).any(|number| key.holds(number)))
            }),
        ];
        if self.setup.keys() > 1 {
            // The choice of the key is free, so whichever holds the oldest event has been tried.
            properties.extend([
                Property::sometimes("the first key is probed while both wait", |_, world: &World| world.probes(0)),
                Property::sometimes("the second key is probed while both wait", |_, world: &World| world.probes(1)),
            ]);
        }
        if self.setup.operator {
            properties.extend([
                Property::sometimes("is forced open", |_, world: &World| {
                    world.read().state.name() == StateName::ForcedOpen
                }),
                Property::sometimes("is forced closed", |_, world: &World| {
                    world.read().state.name() == StateName::ForcedClosed
                }),
                Property::sometimes("only measures", |_, world: &World| {
                    world.read().state.name() == StateName::MetricsOnly
                }),
            ]);
        }
        properties
    }
}

fn nothing_is_lost(setup: &Setup, world: &World) -> bool {
    world.routers.iter().enumerate().all(|(shard, router)| {
        (0..router.checkpoint).all(|place| {
            let (key, number) = setup.record(shard, place);
            world.keys[key].arrived > number || world.keys[key].holds(number)
        })
    })
}

fn leases(world: &World) -> usize {
    match &world.read().state {
        State::HalfOpen { probes, .. } => probes.iter().filter(|lease| lease.is_live(NOW)).count(),
        _ => 0,
    }
}

/// Searches all of a model, in which every property must hold.
fn check(name: &str, setup: Setup) -> String {
    let begun = Instant::now();
    let checker = Protocol::new(setup).checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    format!(
        "{name}: {states} states, {} steps, depth {}, {:.1?}",
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed()
    )
}

#[test]
fn two_shards_and_a_drain() {
    println!("{}", check("two shards and a drain", Setup::new(&[&[0, 0], &[1]], 1)));
}

#[test]
fn two_drains_work_on_one_key() {
    println!("{}", check("one key and two drains", Setup::new(&[&[0, 0]], 2)));
}

#[test]
fn two_keys_in_a_shard_with_late_writes() {
    let setup = Setup { late_writes: true, ..Setup::new(&[&[0, 1]], 1) };
    println!("{}", check("two keys in a shard and late writes", setup));
}

#[test]
fn an_operator_interferes() {
    let setup = Setup { operator: true, ..Setup::new(&[&[0, 0]], 1) };
    println!("{}", check("an operator", setup));
}

/// Larger models than an everyday run has time for. `.ci/run` searches them.
mod larger {
    use super::*;

    #[test]
    #[ignore = "takes minutes; `.ci/run` has a step for it"]
    fn two_probes_run_side_by_side() {
        let probes = Thresholds { probes: 2, successes_to_close: 2, ..thresholds() };
        let settings = Settings::new(probes).expect("valid");
        println!("{}", check("two probes", Setup { settings, ..Setup::new(&[&[0, 0]], 2) }));
    }

    #[test]
    #[ignore = "takes minutes; `.ci/run` has a step for it"]
    fn a_key_occurs_again_in_a_shard_with_late_writes() {
        let late_writes = Setup { late_writes: true, ..Setup::new(&[&[0, 1, 0]], 1) };
        println!("{}", check("three records of two keys and late writes", late_writes));
    }

    #[test]
    #[ignore = "takes minutes; `.ci/run` has a step for it"]
    fn an_operator_interferes_with_late_writes() {
        let operator = Setup { operator: true, late_writes: true, ..Setup::new(&[&[0, 0]], 1) };
        println!("{}", check("an operator and late writes", operator));
    }
}

/// Each rule is needed: without it the search finds a way to break what it is there for.
#[test]
fn a_broken_rule_is_found() {
    let two_shards = || Setup::new(&[&[0, 0], &[1]], 1);
    let one_drain = || Setup::new(&[&[0, 0]], 1);
    let two_drains = || Setup::new(&[&[0, 0]], 2);
    let cases: [(Broken, Setup, &str); 10] = [
        (Broken::WriteWithoutVersion, two_drains(), ONE_WINNER),
        (Broken::ParkWithoutRecord, one_drain(), EMPTY_LOT),
        (Broken::EmptyWithoutParks, one_drain(), EMPTY_LOT),
        (Broken::EmptyByLaterRecord, one_drain(), EMPTY_LOT),
        (Broken::ClearWithoutTail, one_drain(), FLAGGED),
        (Broken::SendWithoutFlag, two_shards(), NO_OVERTAKING),
        (Broken::NewestFirst, two_shards(), NO_OVERTAKING),
        (Broken::DeleteBeforeSend, one_drain(), NOTHING_LOST),
        (Broken::ProbeWithoutLease, two_drains(), FEW_PROBES),
        (Broken::DoneWithoutPark, one_drain(), NOTHING_LOST),
    ];
    for (broken, setup, expected) in cases {
        let setup = Setup { broken: Some(broken), ..setup };
        let checker =
            Protocol::new(setup).checker().finish_when(HasDiscoveries::AnyOf([expected].into())).spawn_bfs().join();
        let found = checker.discoveries();
        let path = found.get(expected);
        let path = path.unwrap_or_else(|| panic!("{broken:?} went unnoticed; found {:?}", found.keys()));
        let steps = path.clone().into_actions().len();
        println!("{broken:?}: not `{expected}` after {steps} steps; {} states", checker.unique_state_count());
    }
}

/// The state in which a route begins is that of a record which isn't there.
#[test]
fn a_route_begins_closed_and_empty() {
    let world = World::new(&Setup::new(&[&[0]], 1));
    assert_eq!(world.read(), Shared::absent());
}
