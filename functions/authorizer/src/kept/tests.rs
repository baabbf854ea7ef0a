//! A value's life, by a clock and a source that a test moves.

use super::*;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::UNIX_EPOCH;

/// A clock and a source that counts its fetches; what it gives is that count. Clones are the same.
#[derive(Clone, Default)]
struct World(Arc<State>);

#[derive(Default)]
struct State {
    seconds: AtomicU64,
    fetches: AtomicU32,
    down: AtomicBool,
    hangs: AtomicBool,
    /// How many seconds a fetch takes.
    takes: AtomicU64,
}

impl Clock for World {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + self.0.seconds.load(Relaxed))
    }
}

impl World {
    fn set(&self, seconds: u64) {
        self.0.seconds.store(seconds, Relaxed);
    }

    fn set_down(&self, down: bool) {
        self.0.down.store(down, Relaxed);
    }

    fn fetches(&self) -> u32 {
        self.0.fetches.load(Relaxed)
    }

    fn fetch(&self) -> impl Future<Output = Result<u32, io::Error>> + Send + 'static {
        let state = Arc::clone(&self.0);
        async move {
            let fetches = 1 + state.fetches.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
            state.seconds.fetch_add(state.takes.load(Relaxed), Relaxed);
            if state.hangs.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            if state.down.load(Relaxed) { Err(io::Error::other("down")) } else { Ok(fetches) }
        }
    }

    async fn get(&self, kept: &Kept<u32>) -> Option<u32> {
        kept.get(self, self.fetch()).await.ok().map(|held| held.value)
    }

    async fn get_without_waiting(&self, kept: &Arc<Kept<u32>>) -> Option<u32> {
        kept.get_without_waiting(self, self.fetch()).await.ok().map(|held| held.value)
    }
}

fn kept() -> Kept<u32> {
    let seconds = Duration::from_secs;
    Kept::new(Keeping { what: "test", max_age: seconds(600), pause: seconds(30), timeout: seconds(2) })
}

#[tokio::test]
async fn a_value_is_fetched_again_when_it_is_old() {
    let (world, kept) = (World::default(), kept());
    for (second, value) in [(0, 1), (599, 1), (600, 2), (601, 2)] {
        world.set(second);
        assert_eq!(world.get(&kept).await, Some(value), "after {second} s");
    }
}

#[tokio::test]
async fn an_old_value_serves_while_the_source_is_down() {
    let (world, kept) = (World::default(), kept());
    assert_eq!(world.get(&kept).await, Some(1));
    world.set_down(true);
    // At 600 s and at 630 s it is tried again, in between it isn't; after a day the value is not used any more.
    for (second, value, fetches) in
        [(600, Some(1), 2), (629, Some(1), 2), (630, Some(1), 3), (86_399, Some(1), 4), (86_400, None, 4)]
    {
        world.set(second);
        assert_eq!((world.get(&kept).await, world.fetches()), (value, fetches), "after {second} s");
    }
    world.set_down(false);
    world.set(86_430);
    assert_eq!(world.get(&kept).await, Some(5));
}

#[tokio::test]
async fn without_a_value_it_is_tried_each_second() {
    let (world, kept) = (World::default(), kept());
    world.set_down(true);
    let error = kept.get(&world, world.fetch()).await.err().expect("there is none");
    assert_eq!(error.source().expect("a cause").to_string(), "down");
    assert_eq!((world.get(&kept).await, world.fetches()), (None, 1));
    world.set_down(false);
    world.set(1);
    assert_eq!(world.get(&kept).await, Some(2));
}

#[tokio::test]
async fn a_newer_value_is_fetched_no_more_often_than_allowed() {
    let (world, kept) = (World::default(), kept());
    let first = kept.get(&world, world.fetch()).await.expect("fetched");
    for (second, value) in [(29, 1), (30, 2)] {
        world.set(second);
        assert_eq!(kept.newer(&first, &world, world.fetch()).await.expect("held").value, value);
    }
    assert_eq!(kept.newer(&first, &world, world.fetch()).await.expect("held").value, 2);
    assert_eq!(world.fetches(), 2, "what is newer already isn't fetched");
}

#[tokio::test]
async fn many_requests_make_one_fetch() {
    let (world, kept) = (World::default(), kept());
    let (one, two, three) = tokio::join!(world.get(&kept), world.get(&kept), world.get(&kept));
    assert_eq!((one, two, three, world.fetches()), (Some(1), Some(1), Some(1), 1));
}

#[tokio::test]
async fn those_who_wait_share_a_fetch_that_fails() {
    let (world, kept) = (World::default(), kept());
    world.set_down(true);
    world.0.takes.store(2, Relaxed);
    let (one, two, three) = tokio::join!(world.get(&kept), world.get(&kept), world.get(&kept));
    assert_eq!((one, two, three, world.fetches()), (None, None, None, 1));
}

#[tokio::test]
async fn a_clock_that_was_set_back_keeps_nothing_alive() {
    let (world, kept) = (World::default(), kept());
    world.set(5_000);
    assert_eq!(world.get(&kept).await, Some(1));
    world.set(4_000);
    assert_eq!(world.get(&kept).await, Some(2));
}

#[tokio::test]
async fn a_fetch_that_hangs_is_given_up() {
    let seconds = Duration::from_secs;
    let timeout = Duration::from_millis(20);
    let kept: Kept<u32> = Kept::new(Keeping { what: "test", max_age: seconds(600), pause: seconds(30), timeout });
    let hangs = std::future::pending::<Result<u32, io::Error>>();
    assert!(kept.get(&World::default(), hangs).await.is_err());
}

/// Lets tasks run until they wait for something.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn once_it_is_down_nobody_waits_for_the_source() {
    let (world, kept) = (World::default(), Arc::new(kept()));
    assert_eq!(world.get_without_waiting(&kept).await, Some(1), "the first one waits, there is nothing else");
    world.set_down(true);
    world.set(600);
    assert_eq!(
        (world.get_without_waiting(&kept).await, world.fetches()),
        (Some(1), 2),
        "that it is down isn't known yet"
    );
    world.0.hangs.store(true, Relaxed);
    for (second, fetches) in [(601, 2), (629, 2), (630, 3), (631, 3)] {
        world.set(second);
        let answer = tokio::time::timeout(Duration::from_millis(500), world.get_without_waiting(&kept)).await;
        assert_eq!(answer, Ok(Some(1)), "after {second} s");
        settle().await;
        assert_eq!(world.fetches(), fetches, "after {second} s, one attempt at a time");
    }
}

#[tokio::test]
async fn a_source_that_is_back_is_noticed_beside_the_requests() {
    let (world, kept) = (World::default(), Arc::new(kept()));
    assert_eq!(world.get_without_waiting(&kept).await, Some(1));
    world.set_down(true);
    world.set(600);
    assert_eq!(world.get_without_waiting(&kept).await, Some(1));
    world.set_down(false);
    world.set(630);
    assert_eq!(world.get_without_waiting(&kept).await, Some(1), "the old one, and meanwhile it is asked");
    settle().await;
    assert_eq!((world.get_without_waiting(&kept).await, world.fetches()), (Some(3), 3));
    // And the next time that it is old, the first request waits again.
    world.set(1_230);
    assert_eq!(world.get_without_waiting(&kept).await, Some(4));
}

#[tokio::test]
async fn a_value_that_is_too_old_is_not_given_without_waiting_either() {
    let (world, kept) = (World::default(), Arc::new(kept()));
    assert_eq!(world.get_without_waiting(&kept).await, Some(1));
    world.set_down(true);
    world.set(86_400);
    assert_eq!(world.get_without_waiting(&kept).await, None);
}
