//! What happens to consumers and broker while the traffic flows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use traffic::Random;

use crate::platform::{CONSUMERS, Platform};

/// What was done, and what happened besides.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Events {
    /// Consumers that were killed.
    pub(crate) consumer_kills: u32,
    /// Starts of consumers after the first of each.
    pub(crate) consumer_restarts: u32,
    /// Consumers that ended by themselves, by how they did. The platform would start them again, and so does the test.
    pub(crate) consumers_ended: BTreeMap<String, u32>,
    /// Brokers that were killed, and started again a little later.
    pub(crate) broker_kills: u32,
    /// Brokers that were stopped for a while.
    pub(crate) broker_freezes: u32,
    /// Seconds without a broker that answers.
    pub(crate) broker_away_secs: f64,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// One consumer dies.
    KillConsumer,
    /// A killed consumer, or one that ended, is started.
    StartConsumers,
    /// The broker dies.
    KillBroker,
    /// A killed broker is started.
    StartBroker,
    /// The broker does nothing any more, and its connections stay.
    FreezeBroker,
    /// It goes on.
    ThawBroker,
}

/// Chaos over the time of one era.
pub(crate) struct Chaos {
    random: Random,
    generation: u32,
    /// What is to happen, soonest first.
    due: Vec<(Instant, Step)>,
    broker_away_since: Option<Instant>,
    /// Whether new misfortunes come.
    raging: bool,
    /// Steps of this era, so that the first ones are of every sort.
    steps: u32,
}

impl Chaos {
    pub(crate) fn new(seed: u64, generation: u32) -> Self {
        let mut chaos = Self {
            random: Random::new(seed ^ (u64::from(generation) << 32)),
            generation,
            due: Vec::new(),
            broker_away_since: None,
            raging: true,
            steps: 0,
        };
        // The first one strikes as soon as the members have partitions.
        chaos.plan(Duration::from_secs(7), Step::KillConsumer);
        let outage = if generation.is_multiple_of(2) { Step::KillBroker } else { Step::FreezeBroker };
        chaos.plan(Duration::from_secs(11), outage);
        chaos
    }

    /// No new misfortune; what has begun comes to its end.
    pub(crate) fn calm_down(&mut self) {
        self.raging = false;
        self.due.retain(|(_, step)| matches!(step, Step::StartConsumers | Step::StartBroker | Step::ThawBroker));
    }

    /// Whether everything runs again.
    pub(crate) fn is_over(&self) -> bool {
        !self.raging && self.due.is_empty() && self.broker_away_since.is_none()
    }

    /// Whether the broker is away on purpose.
    pub(crate) fn broker_is_away(&self) -> bool {
        self.broker_away_since.is_some()
    }

    /// Does what is due by now.
    pub(crate) async fn act(&mut self, platform: &mut Platform, events: &mut Events) {
        for status in platform.ended_consumers() {
            *events.consumers_ended.entry(status.to_string()).or_default() += 1;
            self.plan(Duration::from_secs(1), Step::StartConsumers);
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = self.due.drain(..).partition(|(at, _)| *at <= now);
        self.due = later;
        for (_, step) in due {
            self.step(step, platform, events).await;
        }
    }

    async fn step(&mut self, step: Step, platform: &mut Platform, events: &mut Events) {
        match step {
            Step::KillConsumer => {
                platform.kill_consumer(self.random.index(CONSUMERS));
                events.consumer_kills += 1;
                let pause = self.millis(0, 1_500);
                self.plan(pause, Step::StartConsumers);
                // Who comes back needs some seconds to be given partitions again, and only then is there something to lose.
                let pause = self.millis(6_000, 13_000);
                self.plan(pause, Step::KillConsumer);
            }
            Step::StartConsumers => {
                events.consumer_restarts += u32::from(platform.consumers.iter().any(Option::is_none));
                platform.start_consumers(self.generation);
            }
            Step::KillBroker if self.broker_away_since.is_none() => {
                platform.kill_broker().await;
                events.broker_kills += 1;
                self.broker_away_since = Some(Instant::now());
                let pause = self.millis(500, 4_000);
                self.plan(pause, Step::StartBroker);
                self.plan_outage();
            }
            Step::FreezeBroker if self.broker_away_since.is_none() => {
                platform.freeze_broker(true);
                events.broker_freezes += 1;
                self.broker_away_since = Some(Instant::now());
                // A member's session lasts for six seconds.
                let pause = self.millis(2_000, 9_000);
                self.plan(pause, Step::ThawBroker);
                self.plan_outage();
            }
            Step::KillBroker | Step::FreezeBroker => {}
            Step::StartBroker => {
                platform.start_broker().await;
                self.broker_is_back(events);
            }
            Step::ThawBroker => {
                platform.freeze_broker(false);
                self.broker_is_back(events);
            }
        }
    }

    /// Kills and freezes take turns.
    fn plan_outage(&mut self) {
        self.steps += 1;
        let pause = self.millis(20_000, 40_000);
        let next = if self.steps.is_multiple_of(2) { Step::KillBroker } else { Step::FreezeBroker };
        self.plan(pause, next);
    }

    fn broker_is_back(&mut self, events: &mut Events) {
        if let Some(since) = self.broker_away_since.take() {
            events.broker_away_secs += since.elapsed().as_secs_f64();
        }
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.random.below(high - low))
    }

    fn plan(&mut self, pause: Duration, step: Step) {
        let new_misfortune = matches!(step, Step::KillConsumer | Step::KillBroker | Step::FreezeBroker);
        if self.raging || !new_misfortune {
            self.due.push((Instant::now() + pause, step));
        }
    }
}
