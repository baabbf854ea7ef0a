//! Asking control planes for names: one name a service is enough to see that there is an answer.

use super::{HealthError, ProbedService, RegionProbes, called};
use crate::tables::{Done, Operation};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

impl RegionProbes {
    /// Asks for a name of a table, bus or queue, whoever's it is.
    pub(super) async fn list_names(&self, service: ProbedService) -> Result<Duration, HealthError> {
        let started = Instant::now();
        match service {
            ProbedService::DynamoDb => {
                let Done {} = self.tables.call(Operation::LIST_TABLES, &json!({ "Limit": 1 })).await?;
                Ok(())
            }
            ProbedService::EventBridge => called(self.eventbridge.list_event_buses().limit(1).send()).await.map(drop),
            ProbedService::Sqs => called(self.sqs.list_queues().max_results(1).send()).await.map(drop),
        }?;
        Ok(started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::ProbeRegion;
    use crate::health::probes::tests::probes;
    use crate::testing::Script;

    #[tokio::test]
    async fn one_name_of_each_kind_is_asked_for() {
        let script = Script::new()
            .ok(json!({ "TableNames": ["a"] }))
            .ok(json!({ "EventBuses": [{ "Name": "default" }] }))
            .ok(json!({}));
        let probes = probes(&script);
        for service in ProbedService::ALL {
            probes.list(service).await.expect("an answer");
        }
        assert_eq!(script.bodies(), [json!({ "Limit": 1 }), json!({ "Limit": 1 }), json!({ "MaxResults": 1 })]);
    }

    #[tokio::test]
    async fn a_refusal_is_told_and_not_repeated() {
        for service in ProbedService::ALL {
            let script = Script::new().error(400, "AccessDeniedException").ok(json!({}));
            let error = probes(&script).list(service).await.expect_err("denied");
            assert!(error.to_string().contains("AccessDenied"), "{error}");
            assert_eq!(script.bodies().len(), 1, "{service:?}");
        }
    }
}
