//! Runs a smoke test: sends the changes and looks everywhere at once until all have arrived or hope is lost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use events::row::names;
use events::{Entity, Timestamp, Version};
use futures::StreamExt as _;
use futures::future::{LocalBoxFuture, try_join_all};
use futures::stream::FuturesUnordered;
use infra::environment::Environment;

use super::feed::Feed;
use super::ledger::{Hop, Ledger};
use super::observer::{Observer, book};
use super::workload::Workload;
use super::{Options, PATIENCE, Surroundings};
use crate::error::Error;
use crate::ui::{Live, Ui};

/// Receivers per observer queue.
const RECEIVERS: usize = 4;

/// Changes that wait for the broker's acknowledgement at the same time.
const IN_FLIGHT: usize = 500;

/// Keys that DynamoDB reads in one call.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>, read 2026-11.
const KEYS_PER_READ: usize = 100;

/// Shortest pause between two looks at the rows.
const ROWS_EVERY: Duration = Duration::from_millis(100);

/// How many times longer than a look the pause after it is, so that looking takes little of what it looks at.
const REST: u32 = 4;

/// How long to go on looking after everything has arrived, for what must not come: duplicates and loops.
const LINGER: Duration = Duration::from_millis(1_500);

/// The longest wait for the changes that only clean up.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(15);

/// What the parts of a running test share.
struct Shared<'a> {
    environment: &'a Environment,
    surroundings: &'a Surroundings,
    workload: &'a Workload,
    ledger: RefCell<Ledger>,
    started: Instant,
}

impl Shared<'_> {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Sends and follows the changes; gives back what was found.
pub(super) async fn follow(
    ui: &Ui,
    environment: &Environment,
    surroundings: &Surroundings,
    feed: &Feed,
    workload: &Workload,
    ledger: Ledger,
    options: &Options,
) -> Result<Ledger, Error> {
    let Surroundings { clouds, home, peer, .. } = surroundings;
    let queue = environment.name("observer");
    let own = Observer::find(clouds.sqs(home.as_str())?, home, &queue).await?;
    let other = Observer::find(clouds.sqs(peer.as_str())?, peer, &queue).await?;
    let started = Instant::now();
    let shared = Shared { environment, surroundings, workload, ledger: RefCell::new(ledger), started };

    // The watchers end only with an error; the test itself ends them by winning the race.
    let watchers = {
        let mut watchers: Vec<LocalBoxFuture<'_, Result<(), Error>>> = vec![
            Box::pin(watch_rows(&shared, Hop::Row, clouds.dynamodb(home.as_str())?)),
            Box::pin(watch_rows(&shared, Hop::Replica, clouds.dynamodb(peer.as_str())?)),
        ];
        for observer in [&own, &other] {
            for _ in 0..RECEIVERS {
                watchers.push(Box::pin(watch_bus(&shared, observer)));
            }
        }
        try_join_all(watchers)
    };
    let test = conduct(ui, &shared, feed, options);
    tokio::select! {
        outcome = test => outcome?,
        outcome = watchers => drop(outcome?),
    }
    Ok(shared.ledger.into_inner())
}

/// Sends the changes that count, waits for them, then cleans up.
async fn conduct(ui: &Ui, shared: &Shared<'_>, feed: &Feed, options: &Options) -> Result<(), Error> {
    let live = ui.live();
    let sending = send(shared, feed, true, options.rate);
    let waiting = async {
        wait_for_all(shared, &live).await;
        Ok(())
    };
    tokio::try_join!(sending, waiting)?;
    live.row("smoke", "looking for duplicates, cleaning up");
    let began = Instant::now();
    send(shared, feed, false, None).await?;
    while !shared.ledger.borrow().complete(false) && began.elapsed() < CLEAN_UP_LIMIT {
        tokio::time::sleep(ROWS_EVERY).await;
    }
    tokio::time::sleep(LINGER.saturating_sub(began.elapsed())).await;
    Ok(())
}

/// Sends the changes that count, or those that clean up, in order.
async fn send(shared: &Shared<'_>, feed: &Feed, counted: bool, rate: Option<u32>) -> Result<(), Error> {
    let began = Instant::now();
    let changes = shared.workload.changes().iter().enumerate().filter(|(_, change)| change.counted == counted);
    let mut under_way = FuturesUnordered::new();
    for (position, (index, change)) in changes.enumerate() {
        if let Some(rate) = rate.filter(|rate| *rate > 0) {
            let due = Duration::from_secs_f64(f64::from(u32::try_from(position).unwrap_or(u32::MAX)) / f64::from(rate));
            let pause = due.saturating_sub(began.elapsed());
            // Acknowledgements are taken in while waiting, or a slow rate would never see a refusal.
            let sleep = tokio::time::sleep(pause);
            tokio::pin!(sleep);
            loop {
                tokio::select! {
                    () = &mut sleep => break,
                    Some(sent) = under_way.next(), if !under_way.is_empty() => drop::<()>(sent?),
                }
            }
        }
        while under_way.len() >= IN_FLIGHT {
            if let Some(sent) = under_way.next().await {
                sent?;
            }
        }
        shared.ledger.borrow_mut().sent(index, shared.now());
        // Polled once at once, so that the changes enter the producer's queue in this order.
        let mut sending: LocalBoxFuture<'_, Result<(), Error>> = Box::pin(feed.send(shared.workload, change));
        match futures::poll!(&mut sending) {
            std::task::Poll::Ready(sent) => sent?,
            std::task::Poll::Pending => under_way.push(sending),
        }
    }
    while let Some(sent) = under_way.next().await {
        sent?;
    }
    Ok(())
}

/// Shows how far it is, until everything has arrived or nothing has for too long.
async fn wait_for_all(shared: &Shared<'_>, live: &Live<'_>) {
    let all = shared.workload.counted();
    let mut shown = 0;
    loop {
        let (arrived, complete, idle) = {
            let ledger = shared.ledger.borrow();
            let idle = shared.now().saturating_sub(ledger.last_arrival());
            (Hop::ALL.map(|hop| ledger.arrived(hop)), ledger.complete(true), idle)
        };
        // In a log each row is a line: one for every tenth is enough.
        let tenth = arrived.iter().sum::<usize>() * 10 / (all * Hop::ALL.len());
        if tenth > shown || complete {
            shown = tenth;
            let [row, replica, own, peer] = arrived;
            live.row(
                "smoke",
                &format!(
                    "of {all}: {row} in the table, {replica} in the replica, {own} on the own bus, {peer} on the peer's"
                ),
            );
        }
        if complete || idle > PATIENCE {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks at the rows of one region again and again.
async fn watch_rows(shared: &Shared<'_>, hop: Hop, client: &Client) -> Result<(), Error> {
    loop {
        let began = Instant::now();
        let behind = shared.ledger.borrow().keys_behind(hop);
        for keys in behind.chunks(KEYS_PER_READ) {
            let versions = read_rows(shared, hop, client, keys).await?;
            let now = shared.now();
            let mut ledger = shared.ledger.borrow_mut();
            for (key, version) in versions {
                ledger.row(hop, key, &version, now);
            }
        }
        tokio::time::sleep(ROWS_EVERY.max(began.elapsed() * REST)).await;
    }
}

/// The versions of those keys that have a row.
async fn read_rows(
    shared: &Shared<'_>,
    hop: Hop,
    client: &Client,
    keys: &[usize],
) -> Result<Vec<(usize, Version)>, Error> {
    let table = |entity: Entity| shared.environment.name(entity.as_str());
    let failed = |source: String| {
        let region = match hop {
            Hop::Replica | Hop::PeerBus => &shared.surroundings.peer,
            Hop::Row | Hop::OwnBus => &shared.surroundings.home,
        };
        Error::remote(format!("the tables of {region} can't be read")).caused_by(source)
    };
    let mut by_text: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wanted: BTreeMap<String, Vec<std::collections::HashMap<String, AttributeValue>>> = BTreeMap::new();
    for &index in keys {
        let key = &shared.workload.keys()[index];
        by_text.insert(key.key.as_str(), index);
        let primary_key = [(names::PK.to_owned(), AttributeValue::S(key.key.as_str().to_owned()))];
        wanted.entry(table(key.entity)).or_default().push(primary_key.into_iter().collect());
    }
    let mut request = client.batch_get_item();
    for (table, keys) in wanted {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .projection_expression("#pk, #ver")
            .expression_attribute_names("#pk", names::PK)
            .expression_attribute_names("#ver", names::VER)
            .consistent_read(true)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        request = request.request_items(table, keys);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| failed(aws_sdk_dynamodb::error::DisplayErrorContext(&error).to_string()))?;
    // Keys that DynamoDB left for later are read with the next look.
    let items = answer.responses.unwrap_or_default().into_values().flatten();
    let version_of = |item: std::collections::HashMap<String, AttributeValue>| {
        let key = item.get(names::PK)?.as_s().ok()?;
        let version = item.get(names::VER)?.as_s().ok()?;
        Some((*by_text.get(key.as_str())?, version.parse().ok()?))
    };
    Ok(items.filter_map(version_of).collect())
}

/// Takes in what arrives on one region's bus.
async fn watch_bus(shared: &Shared<'_>, observer: &Observer) -> Result<(), Error> {
    let run = shared.workload.run();
    loop {
        let messages = observer.receive().await?;
        let now = shared.now();
        for message in &messages {
            let mut ledger = shared.ledger.borrow_mut();
            let body = message.body().unwrap_or_default();
            book(&mut ledger, body, run, &shared.surroundings.home, observer.region(), now);
        }
        observer.remove(&messages, run, Timestamp::now().as_millisecond()).await?;
    }
}
