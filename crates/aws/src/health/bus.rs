//! Events of health on a bus: outcomes and canaries.

use super::{AnnounceHealth, HealthError, called};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_types::SdkConfig;
use contracts::{BusName, Region};
use events::health::{HEALTH_CHECK, SOURCE};

/// The region's own bus, for outcomes of checks.
#[derive(Clone, Debug)]
pub struct HealthBus {
    client: aws_sdk_eventbridge::Client,
    bus: BusName,
    region: Region,
}

impl HealthBus {
    /// Outcomes go to `bus` in `region`; `config` must be for that region.
    pub fn new(config: &SdkConfig, region: Region, bus: BusName) -> Self {
        Self { client: aws_sdk_eventbridge::Client::new(config), bus, region }
    }
}

impl AnnounceHealth for HealthBus {
    async fn announce(&self, detail: &str) -> Result<(), HealthError> {
        put_event(&self.client, &self.bus, HEALTH_CHECK, detail).await?;
        telemetry::EVENTBRIDGE_EVENTS_PUBLISHED_TOTAL.inc(&[self.region.as_str(), HEALTH_CHECK]);
        Ok(())
    }
}

/// Puts one event onto a bus, which may refuse it in an answer that says success.
pub(super) async fn put_event(
    client: &aws_sdk_eventbridge::Client,
    bus: &BusName,
    detail_type: &str,
    detail: &str,
) -> Result<(), HealthError> {
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus.as_str())
        .source(SOURCE)
        .detail_type(detail_type)
        .detail(detail)
        .build();
    let output = called(client.put_events().entries(entry).send()).await?;
    let failed = |code: &str, message: &str| HealthError::Failed { code: code.to_owned(), message: message.to_owned() };
    match output.entries() {
        [entry] => match (entry.error_code(), entry.event_id()) {
            (Some(code), _) => Err(failed(code, entry.error_message().unwrap_or("no message was given"))),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(failed("UnreadableResponse", "the answer has neither an id nor an error")),
        },
        entries => {
            Err(failed("UnreadableResponse", &format!("the answer has {} entries for one event", entries.len())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, event_bus, region, sdk_config};
    use serde_json::json;

    #[tokio::test]
    async fn outcomes_go_to_the_bus() {
        let script = Script::new().ok(json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] }));
        let bus = HealthBus::new(&sdk_config(&script), region("us-west-2"), event_bus("bus"));
        bus.announce("{\"overall\":\"healthy\"}").await.expect("taken");
        let expected = json!({
            "Source": SOURCE, "DetailType": HEALTH_CHECK, "Detail": "{\"overall\":\"healthy\"}", "EventBusName": "bus",
        });
        assert_eq!(script.bodies()[0]["Entries"][0], expected);
    }
}
