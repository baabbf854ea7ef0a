//! Where verdicts are kept: a table of the checker's own region.

use super::{HealthError, KeepVerdicts, Keeping, KeptText, called, since_epoch};
use crate::failure::Failure;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use contracts::TableName;
use std::time::SystemTime;

/// Verdicts in a table: `pk` is the key, `body` the text, `stamp` its number, `expires_at` the time to live in epoch seconds.
#[derive(Clone, Debug)]
pub struct VerdictTable {
    client: aws_sdk_dynamodb::Client,
    table: TableName,
}

impl VerdictTable {
    /// Verdicts in `table`; `config` must be for the table's region.
    pub fn new(config: &SdkConfig, table: TableName) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(config), table }
    }
}

impl KeepVerdicts for VerdictTable {
    async fn load(&self, key: &str) -> Result<Option<KeptText>, HealthError> {
        let key = AttributeValue::S(key.to_owned());
        let get = self.client.get_item().table_name(self.table.as_str()).key("pk", key).consistent_read(true);
        let Some(item) = called(get.send()).await?.item else { return Ok(None) };
        let text = item.get("body").and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        let stamp = item.get("stamp").and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok());
        Ok(Some(KeptText { text, stamp: stamp.unwrap_or_default() }))
    }

    async fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> Result<Keeping, HealthError> {
        let put = self
            .client
            .put_item()
            .table_name(self.table.as_str())
            .item("pk", AttributeValue::S(key.to_owned()))
            .item("body", AttributeValue::S(kept.text.clone()))
            .item("stamp", AttributeValue::N(kept.stamp.to_string()))
            .item("expires_at", AttributeValue::N(since_epoch(expires_at).as_secs().to_string()));
        // Its own stamp is there when an attempt was carried out whose answer got lost.
        let put = put.expression_attribute_values(":own", AttributeValue::N(kept.stamp.to_string()));
        let put = match seen {
            None => put.condition_expression("attribute_not_exists(pk) OR stamp = :own"),
            Some(seen) => put
                .condition_expression(
                    "attribute_not_exists(pk) OR attribute_not_exists(stamp) OR stamp = :own OR stamp = :seen",
                )
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(Keeping::Kept),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(Keeping::Overtaken)
            }
            Err(error) => Err(Failure::of(&error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, sdk_config};
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    #[tokio::test]
    async fn verdicts_come_back_as_they_were_kept() {
        let item = json!({
            "pk": { "S": "verdict#a" }, "body": { "S": "text" }, "stamp": { "N": "7" }, "expires_at": { "N": "5" },
        });
        let script = Script::new().ok(json!({})).ok(json!({ "Item": item })).ok(json!({})).lost_connection();
        let table = VerdictTable::new(&sdk_config(&script), "tandem-test-health".parse().expect("a table"));
        let kept = KeptText { text: "text".to_owned(), stamp: 7 };
        let expires_at = UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(table.keep("verdict#a", &kept, None, expires_at).await, Ok(Keeping::Kept));
        assert_eq!(table.load("verdict#a").await, Ok(Some(kept)));
        assert_eq!(table.load("verdict#b").await, Ok(None));
        assert!(table.load("verdict#a").await.is_err(), "no answer is not absence");
        assert_eq!(script.bodies()[0]["Item"], item);
    }

    #[tokio::test]
    async fn a_verdict_overwrites_only_what_its_maker_has_seen() {
        let script = Script::new()
            .error(400, "ConditionalCheckFailedException")
            .ok(json!({}))
            .error(400, "ConditionalCheckFailedException")
            .error(500, "InternalServerError");
        let table = VerdictTable::new(&sdk_config(&script), "tandem-test-health".parse().expect("a table"));
        let kept = KeptText { text: "text".to_owned(), stamp: 7 };
        let keep = |seen| table.keep("verdict#a", &kept, seen, UNIX_EPOCH);
        assert_eq!(keep(None).await, Ok(Keeping::Overtaken));
        assert_eq!(keep(Some(6)).await, Ok(Keeping::Kept));
        assert_eq!(keep(Some(6)).await, Ok(Keeping::Overtaken));
        assert!(keep(Some(6)).await.is_err());
        let bodies = script.bodies();
        assert_eq!(bodies[0]["ConditionExpression"], "attribute_not_exists(pk) OR stamp = :own");
        assert_eq!(bodies[0]["ExpressionAttributeValues"], json!({ ":own": { "N": "7" } }));
        let condition = "attribute_not_exists(pk) OR attribute_not_exists(stamp) OR stamp = :own OR stamp = :seen";
        assert_eq!(bodies[1]["ConditionExpression"], condition);
        assert_eq!(bodies[1]["ExpressionAttributeValues"], json!({ ":own": { "N": "7" }, ":seen": { "N": "6" } }));
    }
}
