//! What a stimulus must lead to when nothing is missing, and where that is seen.

use std::collections::BTreeMap;

use events::Entity;
use serde_json::json;

use crate::api::Api;
use crate::aws::Aws;
use crate::breaker;
use crate::checkout::{Checkout, Running};
use crate::queues::{Inbox, Witness};
use crate::{BUS, HOME, PEER};

/// Seconds in which an effect is there. The consumer waits longer and longer while it is refused.
const PATIENCE_SECS: u64 = 20;
const PATIENCE_WITH_CONSUMER_SECS: u64 = 100;

const IDEMPOTENCY: &str = "tandem-sandbox-idempotency";

/// What must come of a stimulus.
pub(super) enum Effect {
    /// An event on the own bus, with this source and text.
    Told { source: &'static str, text: String },
    /// An event on the other region's bus.
    Routed { text: String },
    /// A message with this text.
    Message { queue: String, text: String },
    /// More messages than so many.
    MoreMessages { queue: String, than: usize },
    /// A check that finds nothing wrong.
    GoodCheck,
    /// A function's log has lines since then.
    Log { program: &'static str, since: f64 },
    /// The row with this key has this version.
    Row { entity: Entity, key: String, version: String },
    /// An event with this text waits in the parking table.
    Parked { text: String },
    /// The key has no parked events any more.
    NoFlag { key: String },
    /// The event transformer has worked on a message, and nothing is left of its claim.
    ClaimGivenBack { key: String, message: String, since: f64 },
    /// A smoke test that passes.
    Smoke(Running),
}

impl Effect {
    pub(super) fn patience(&self) -> u64 {
        if matches!(self, Self::Smoke(_) | Self::Row { .. }) { PATIENCE_WITH_CONSUMER_SECS } else { PATIENCE_SECS }
    }
}

/// Where stimuli are applied and effects are seen.
pub(super) struct Scene<'a> {
    checkout: &'a Checkout,
    home: Aws,
    api: Api,
    own_bus: Witness,
    peer_bus: Witness,
    inboxes: BTreeMap<String, Inbox>,
    marks: u32,
}

impl<'a> Scene<'a> {
    pub(super) fn of(checkout: &'a Checkout) -> Self {
        let home = checkout.aws(HOME);
        let api = Api::of(&home);
        let own_bus = Witness::of(&home, BUS);
        let peer_bus = Witness::of(&checkout.aws(PEER), BUS);
        Self { checkout, home, api, own_bus, peer_bus, inboxes: BTreeMap::new(), marks: 0 }
    }

    pub(super) fn checkout(&self) -> &Checkout {
        self.checkout
    }

    pub(super) fn home(&self) -> &Aws {
        &self.home
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// A text that nothing else has.
    pub(super) fn mark(&mut self) -> String {
        self.marks += 1;
        format!("privilege-{}-{}", std::process::id(), self.marks)
    }

    pub(super) fn inbox(&mut self, queue: &str) -> &mut Inbox {
        let Self { inboxes, home, .. } = self;
        inboxes.entry(queue.to_owned()).or_insert_with(|| Inbox::of(home, queue))
    }

    /// Whether the effect is there.
    pub(super) fn has(&mut self, effect: &mut Effect) -> bool {
        match effect {
            Effect::Told { source, text } => self.own_bus.saw(source, None, text),
            Effect::Routed { text } => self.peer_bus.saw("tandem.cross-region", None, text),
            Effect::Message { queue, text } => self.inbox(queue).got(text),
            Effect::MoreMessages { queue, than } => self.inbox(queue).count() > *than,
            Effect::GoodCheck => self.check_finds_nothing(),
            Effect::Log { program, since } => self.has_logged(program, *since),
            Effect::Row { entity, key, version } => {
                let table = format!("tandem-sandbox-{entity}");
                let request = json!({"TableName": table, "Key": {"pk": {"S": key}}, "ConsistentRead": true});
                self.home.call("dynamodb", "GetItem", &request)["Item"]["ver"]["S"] == version.as_str()
            }
            Effect::Parked { text } => breaker::sort_keys(&self.home).iter().any(|key| key.contains(text.as_str())),
            Effect::NoFlag { key } => !breaker::sort_keys(&self.home).iter().any(|known| known.contains(key.as_str())),
            Effect::ClaimGivenBack { key, message, since } => {
                let request = json!({"TableName": IDEMPOTENCY, "Key": {"pk": {"S": key}}, "ConsistentRead": true});
                self.has_logged_of("event-transformer", *since, message)
                    && self.home.call("dynamodb", "GetItem", &request)["Item"].is_null()
            }
            Effect::Smoke(run) => run.has_ended_well(),
        }
    }

    /// Runs the health checker, which tells what each of its probes met, and how authority stands if it could read that.
    pub(super) fn check_finds_nothing(&self) -> bool {
        let path = "/2015-03-31/functions/tandem-sandbox-health-checker/invocations";
        let event = self.home.rest("lambda", ("POST", path), &[], Some(&json!({}))).json();
        let regions = event["regions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let probes = regions.iter().flat_map(|region| region["probes"].as_array().into_iter().flatten());
        let reads_authority = event["authority"]["epoch"].is_u64();
        reads_authority && !regions.is_empty() && probes.into_iter().all(|probe| probe["error"].is_null())
    }

    /// Whether a function wrote its log since then, in seconds since 1970.
    pub(super) fn has_logged(&self, program: &str, since: f64) -> bool {
        self.has_logged_of(program, since, "")
    }

    /// The same of a line with this text.
    fn has_logged_of(&self, program: &str, since: f64, text: &str) -> bool {
        let millis = format!("{:.0}", since * 1000.0).parse::<u64>().expect("a time after 1970");
        let request = json!({"logGroupName": format!("/tandem/sandbox/{program}"), "startTime": millis});
        let found = self.home.call("logs", "FilterLogEvents", &request);
        let lines = found["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.iter().any(|line| line["message"].as_str().is_some_and(|line| line.contains(text)))
    }

    pub(super) fn end(self) {
        self.own_bus.end();
        self.peer_bus.end();
    }
}
