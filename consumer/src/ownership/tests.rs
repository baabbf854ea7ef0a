//! The truth table, its corners, and how knowledge grows.

use super::*;

fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

/// The moment `seconds` after the tests' beginning.
fn at(seconds: u64) -> Moment {
    Moment { running: Duration::from_secs(seconds), time: day(seconds) }
}

/// The time of day `seconds` after the tests' beginning.
fn day(seconds: u64) -> Timestamp {
    "2026-03-04T05:06:07Z"
        .parse::<Timestamp>()
        .expect("a time")
        .saturating_add(Duration::from_secs(seconds))
        .expect("later")
}

fn rules(when_unread: WhenUnread, without_record: WithoutRecord) -> Rules {
    Rules { region: region("us-west-2"), when_unread, without_record, lease_margin: Duration::from_secs(5) }
}

fn decided(owner: &str, epoch: u64, lease_until: Option<u64>) -> Record {
    Record::Decided { owner: region(owner), epoch, lease_until: lease_until.map(day) }
}

const WEST: &str = "us-west-2";
const EAST: &str = "us-east-1";

/// What is expected, in short.
#[derive(Debug, PartialEq)]
enum Expected {
    StandBy(Reason),
    Own(u64, Option<u64>),
    HandOver(Reason, Option<u64>),
    Stop(Reason),
}

use Expected::{HandOver, Own, StandBy, Stop};

/// One row: the tenure's epoch and lease, what readings gave and when they began (none: nothing), now, what is decided.
fn check(
    tenure: Option<(u64, Option<u64>)>,
    readings: &[(u64, Option<Record>)],
    now: u64,
    rules: &Rules,
    expected: &Expected,
) {
    let tenure = tenure.map(|(epoch, lease_until)| Tenure { epoch, lease_until: lease_until.map(day) });
    let mut known = Known::default();
    for (began, read) in readings {
        known.note(at(*began), read.clone());
    }
    let seconds = |until: Option<Timestamp>| {
        until.map(|until| u64::try_from(until.duration_since(day(0)).as_secs()).expect("later"))
    };
    let found = match decide(tenure.as_ref(), &known, at(now), rules) {
        Decision::StandBy(reason) => StandBy(reason),
        Decision::Own(tenure) => Own(tenure.epoch, seconds(tenure.lease_until)),
        Decision::HandOver { reason, lease_until } => HandOver(reason, seconds(lease_until)),
        Decision::Stop(reason) => Stop(reason),
    };
    assert_eq!(found, *expected, "{tenure:?}, {readings:?}, now {now}");
}

/// Whoever waits: the rows of the table of `docs/semantics.md`, "Who consumes", in its order.
#[test]
fn the_table_of_who_waits() {
    let stand_by = rules(WhenUnread::FailStatic, WithoutRecord::StandBy);
    let own = rules(WhenUnread::FailStatic, WithoutRecord::Own);
    let elsewhere = || Reason::Elsewhere(region(EAST));
    for (readings, rules, expected) in [
        // Never read; last reading failed; set back; gone.
        (vec![], &own, StandBy(Reason::Unknown)),
        (vec![(0, None)], &own, StandBy(Reason::Unknown)),
        (vec![(0, Some(decided(WEST, 3, None))), (5, None)], &own, StandBy(Reason::Unknown)),
        (vec![(0, Some(decided(WEST, 3, None))), (5, Some(decided(WEST, 2, None)))], &own, StandBy(Reason::Unknown)),
        (vec![(0, Some(decided(EAST, 3, None))), (5, Some(Record::Absent))], &own, StandBy(Reason::Unknown)),
        // No record.
        (vec![(0, Some(Record::Absent))], &stand_by, StandBy(Reason::NoRecord)),
        (vec![(0, Some(Record::Absent))], &own, Own(0, None)),
        // Another owner, whatever its lease.
        (vec![(0, Some(decided(EAST, 3, None)))], &own, StandBy(elsewhere())),
        (vec![(0, Some(decided(EAST, 3, Some(1))))], &own, StandBy(elsewhere())),
        // This owner: its lease over, within the margin, running, none.
        (vec![(0, Some(decided(WEST, 3, Some(9))))], &own, StandBy(Reason::LeaseOver)),
        (vec![(0, Some(decided(WEST, 3, Some(15))))], &own, StandBy(Reason::LeaseOver)),
        (vec![(0, Some(decided(WEST, 3, Some(16))))], &own, Own(3, Some(16))),
        (vec![(0, Some(decided(WEST, 3, None)))], &stand_by, Own(3, None)),
        // A reading that failed once is made good by the next.
        (vec![(0, None), (5, Some(decided(WEST, 4, None)))], &own, Own(4, None)),
    ] {
        check(None, &readings, 10, rules, &expected);
    }
}

/// Whoever owns: the rows of the second table there.
#[test]
fn the_table_of_who_owns() {
    let fail_static = rules(WhenUnread::FailStatic, WithoutRecord::Own);
    let fail_safe = rules(WhenUnread::FailSafe(Duration::from_secs(30)), WithoutRecord::Own);
    let elsewhere = || Reason::Elsewhere(region(EAST));
    for (lease, readings, now, rules, expected) in [
        // The lease is over, whatever else is known: exactly then, and not a second before.
        (Some(60), vec![(0, Some(decided(WEST, 3, Some(60))))], 55, &fail_static, Stop(Reason::LeaseOver)),
        (Some(60), vec![(0, Some(decided(WEST, 3, Some(60))))], 54, &fail_static, Own(3, Some(60))),
        (Some(60), vec![(0, Some(decided(WEST, 3, Some(60)))), (20, None)], 55, &fail_static, Stop(Reason::LeaseOver)),
        (Some(60), vec![(0, Some(decided(EAST, 4, Some(99))))], 55, &fail_static, Stop(Reason::LeaseOver)),
        // It was renewed, or taken off.
        (Some(60), vec![(50, Some(decided(WEST, 3, Some(90))))], 55, &fail_static, Own(3, Some(90))),
        (Some(60), vec![(50, Some(decided(WEST, 3, None)))], 99, &fail_static, Own(3, None)),
        // Another owner: in order, within the own lease and not the other's.
        (None, vec![(0, Some(decided(EAST, 4, None)))], 10, &fail_static, HandOver(elsewhere(), None)),
        (Some(60), vec![(0, Some(decided(EAST, 4, Some(5))))], 10, &fail_static, HandOver(elsewhere(), Some(60))),
        // Two records of one decision: the last one counts.
        (None, vec![(0, Some(decided(EAST, 3, None)))], 10, &fail_safe, HandOver(elsewhere(), None)),
        // The same owner by a later decision.
        (None, vec![(0, Some(decided(WEST, 4, None)))], 10, &fail_safe, HandOver(Reason::NewEpoch(4), None)),
        // A decision counts also when it can't be read again, or was set back.
        (None, vec![(0, Some(decided(EAST, 4, None))), (5, None)], 10, &fail_static, HandOver(elsewhere(), None)),
        (
            None,
            vec![(0, Some(decided(EAST, 4, None))), (5, Some(decided(WEST, 3, None)))],
            10,
            &fail_static,
            HandOver(elsewhere(), None),
        ),
        // Nothing new.
        (None, vec![(0, Some(decided(WEST, 3, None)))], 500, &fail_safe, Own(3, None)),
        // It can't be read, was set back, or is gone, for a while and for too long.
        (None, vec![(0, Some(decided(WEST, 3, None))), (5, None)], 500, &fail_static, Own(3, None)),
        (None, vec![(0, Some(decided(WEST, 3, None))), (5, None)], 29, &fail_safe, Own(3, None)),
        (None, vec![(0, Some(decided(WEST, 3, None))), (5, None)], 30, &fail_safe, Stop(Reason::Unknown)),
        (
            None,
            vec![(0, Some(decided(WEST, 3, None))), (5, Some(decided(WEST, 2, None)))],
            30,
            &fail_static,
            Own(3, None),
        ),
        (None, vec![(0, Some(decided(WEST, 3, None))), (5, Some(Record::Absent))], 29, &fail_safe, Own(3, None)),
        (
            None,
            vec![(0, Some(decided(WEST, 3, None))), (5, Some(Record::Absent))],
            30,
            &fail_safe,
            Stop(Reason::Unknown),
        ),
    ] {
        check(Some((3, lease)), &readings, now, rules, &expected);
    }
    // Without a record: until there is one.
    for (read, expected) in [
        (Record::Absent, Own(0, None)),
        (decided(WEST, 1, None), HandOver(Reason::NewEpoch(1), None)),
        (decided(EAST, 1, None), HandOver(elsewhere(), None)),
    ] {
        check(Some((0, None)), &[(0, Some(read))], 10, &fail_safe, &expected);
    }
}

#[test]
fn a_clock_that_is_set_back_prolongs_no_lease() {
    let rules = rules(WhenUnread::FailStatic, WithoutRecord::Own);
    let until = Some(day(60));
    let now = at(40).then(Duration::from_secs(50), day(10));
    assert_eq!(now.time, day(50), "ten seconds have passed");
    assert_eq!(left(until, now, &rules), Some(Duration::from_secs(5)));
    // Set forward it ends one early: better than late.
    assert_eq!(left(until, at(40).then(Duration::from_secs(41), day(59)), &rules), Some(Duration::ZERO));
    assert_eq!(left(None, now, &rules), None);
}

#[test]
fn nothing_takes_a_later_decision_back() {
    let mut known = Known::default();
    known.note(at(0), Some(decided(WEST, 3, None)));
    for read in [None, Some(Record::Absent), Some(decided(WEST, 2, None))] {
        let gave_less = read.is_some();
        known.note(at(5), read);
        assert_eq!((known.newest().map(Record::epoch), known.is_behind()), (Some(3), gave_less));
    }
    known.note(at(10), Some(decided(EAST, 4, None)));
    assert_eq!((known.newest().map(Record::epoch), known.is_behind()), (Some(4), false));
}
