//! Who consumes: a scripted record of authority, the real watcher and pipeline, a log in memory, and time that passes only when
//! everybody waits for it.

#[path = "ownership/time.rs"]
mod time;
#[path = "ownership/world.rs"]
mod world;

use std::time::Duration;

use consumer::ownership::Reason;
use consumer::pipeline::StopReason;
use consumer::presence::{Readiness, Ready};
use consumer::tenure::Ended;
use time::elapsed;
use world::{EAST, Scripted, WEST, World, absent, record, region, unread};

/// Seconds since the beginning.
fn seconds() -> u64 {
    elapsed().as_secs()
}

/// Whoever doesn't own waits, says so, and takes nothing; whoever gets its turn writes with the record's epoch.
#[tokio::test]
async fn a_region_waits_for_its_turn_and_writes_with_the_records_epoch() {
    let script = [unread(), record(EAST, 6, None), record(EAST, 6, None), record(WEST, 7, None), record(EAST, 8, None)];
    let world = World::new(Scripted::new(script), &[]).await;
    let readiness = || world.presence.readiness();
    assert!(!readiness().is_ready, "nothing is known yet");
    let mut authority = world.authority();
    let begins = authority.begins();
    let waits = async {
        time::sleep(Duration::from_secs(3)).await;
        let unknown = readiness();
        assert!(!unknown.is_ready && unknown.text.contains("can't be read"), "{unknown:?}");
        time::sleep(Duration::from_secs(5)).await;
        assert_eq!(readiness(), Readiness { is_ready: true, text: "standby: `us-east-1` owns the topics".to_owned() });
        assert_eq!(telemetry_of("standing_by"), Some(1.0));
        std::future::pending::<()>().await;
    };
    let tenure = tokio::select! {
        tenure = begins => tenure,
        () = waits => unreachable!("it waits for ever"),
    };
    assert_eq!((tenure.epoch, seconds()), (7, 17), "three intervals, and two seconds that the first reading was given");
    let (ended, source) = world.serve(authority, tenure).await;
    let Ended::HandedOver { reason, complete } = ended else { panic!("{ended:?}") };
    assert_eq!(reason, Reason::Elsewhere(region(EAST)));
    assert!(complete.clean && matches!(complete.reason, StopReason::Shutdown));
    assert!(source.is_closed(), "it left the group in order");
    // Everything that had begun was finished and committed.
    let epochs = world.table.epochs();
    assert!(!epochs.is_empty() && epochs.iter().all(|epoch| *epoch == 7), "{epochs:?}");
    assert_eq!(source.committed(), i64::try_from(epochs.len()).ok());
}

/// A lease that nobody renews ends writing before it ends itself, in the middle of whatever is done.
#[tokio::test]
async fn a_lease_that_is_over_ends_writing_at_once() {
    let world = World::new(Scripted::new([record(WEST, 7, Some(20))]), &[("LEASE_MARGIN", "4s")]).await;
    let (ended, source) = world.run().await;
    assert!(matches!(ended, Ended::Stopped(Reason::LeaseOver)), "{ended:?}");
    assert_eq!(seconds(), 16, "a margin before the lease's end");
    // Nothing comes after, however long somebody waits.
    let (written, committed) = (world.table.epochs().len(), source.committed());
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.table.epochs().len(), source.committed()), (written, committed));
    assert!(!source.is_closed(), "no last commit");
    assert!(written > 0);
}

/// The same lease is prolonged by whoever gave it: the tenure goes on.
#[tokio::test]
async fn a_lease_that_is_renewed_goes_on() {
    let script = [record(WEST, 7, Some(12)), record(WEST, 7, Some(30)), record(WEST, 7, Some(40))];
    let world = World::new(Scripted::new(script), &[]).await;
    let (ended, _) = world.run().await;
    assert!(matches!(ended, Ended::Stopped(Reason::LeaseOver)), "{ended:?}");
    assert_eq!(seconds(), 35);
}

/// A reading that hangs neither prolongs a lease nor delays its end.
#[tokio::test]
async fn a_reading_that_hangs_delays_no_end_of_a_lease() {
    let script = [record(WEST, 7, Some(16)), unread()];
    let world = World::new(Scripted::new(script), &[("AUTHORITY_TIMEOUT", "5s")]).await;
    let (ended, _) = world.run().await;
    assert!(matches!(ended, Ended::Stopped(Reason::LeaseOver)), "{ended:?}");
    assert_eq!(seconds(), 11);
}

/// A handover drains in order, but not beyond the own lease.
#[tokio::test]
async fn a_handover_ends_with_the_own_lease_at_the_latest() {
    let script = [record(WEST, 7, Some(12)), record(EAST, 8, Some(500))];
    let world = World::new(Scripted::new(script), &[]).await;
    // A write takes longer than what is left.
    world.table.set_slow(Duration::from_secs(10));
    let (ended, source) = world.run().await;
    assert!(matches!(ended, Ended::Stopped(Reason::LeaseOver)), "{ended:?}");
    assert_eq!(seconds(), 7);
    assert_eq!(world.table.epochs().len(), 0);
    assert_eq!(source.committed().unwrap_or(0), 0, "nothing is done");
}

/// A decision that leaves the owner as it is raises the epoch, and writes go on with the new one: by a new process.
#[tokio::test]
async fn a_later_epoch_of_the_same_owner_ends_the_tenure_in_order() {
    let world = World::new(Scripted::new([record(WEST, 7, None), record(WEST, 9, None)]), &[]).await;
    let (ended, source) = world.run().await;
    let Ended::HandedOver { reason: Reason::NewEpoch(9), complete } = ended else { panic!("{ended:?}") };
    assert!(complete.clean && source.is_closed());
    assert_eq!(world.authority().begins().await.epoch, 9);
}

/// `fail_static` goes on whatever becomes of the record, `fail_safe` only for a while.
#[tokio::test]
async fn who_cannot_read_the_record_any_more_goes_on_or_stops_as_it_was_told() {
    let lost = [record(WEST, 7, None), unread(), record(WEST, 6, None), absent(), unread()];
    let world = World::new(Scripted::new(lost.clone()), &[]).await;
    let served = tokio::select! {
        ended = world.run() => Some(ended.0),
        () = time::sleep(Duration::from_secs(300)) => None,
    };
    assert!(served.is_none(), "{served:?}");
    assert!(world.table.epochs().len() > 250, "it worked all the time");
}

#[tokio::test]
async fn fail_safe_stops_when_the_record_was_not_confirmed_for_too_long() {
    let lost = [record(WEST, 7, None), unread(), record(WEST, 6, None), absent(), unread()];
    let world = World::new(Scripted::new(lost), &[("AUTHORITY_UNREAD", "fail_safe:30s")]).await;
    let (ended, source) = world.run().await;
    assert!(matches!(ended, Ended::Stopped(Reason::Unknown)), "{ended:?}");
    assert!((30..=37).contains(&seconds()), "{} s: at the first reading after it", seconds());
    assert!(!source.is_closed());
}

/// Without a record only the region owns that was told so, until there is one.
#[tokio::test]
async fn without_a_record_one_region_owns_until_there_is_one() {
    let script = [absent(), absent(), record(WEST, 1, None)];
    let world = World::new(Scripted::new(script), &[("AUTHORITY_ABSENT", "own")]).await;
    let (ended, _) = world.run().await;
    assert!(matches!(ended, Ended::HandedOver { reason: Reason::NewEpoch(1), .. }), "{ended:?}");
    assert!(world.table.epochs().iter().all(|epoch| *epoch == 0), "any record outranks it");
}

#[tokio::test]
async fn without_a_record_the_others_wait() {
    let world = World::new(Scripted::new([absent()]), &[]).await;
    let mut authority = world.authority();
    tokio::select! {
        tenure = authority.begins() => panic!("{tenure:?}"),
        () = time::sleep(Duration::from_secs(600)) => {}
    }
    assert!(world.presence.readiness().is_ready);
    // One reading every five seconds, and no more.
    assert_eq!(world.record.count(), 120);
}

fn telemetry_of(phase: &str) -> Option<f64> {
    telemetry::CONSUMER_OWNERSHIP.get(&[phase])
}
