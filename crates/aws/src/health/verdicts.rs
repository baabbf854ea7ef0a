//! Where verdicts are kept: a table of the checker's own region.

use super::{HealthError, KeepVerdicts, Keeping, KeptText, since_epoch};
use crate::tables::{Done, Found, GetItem, Operation, PutItem, Tables, is_condition, item, number};
use aws_types::SdkConfig;
use contracts::TableName;
use events::AttributeValue;
use std::sync::Arc;
use std::time::SystemTime;

/// Verdicts in a table: `pk` is the key, `body` the text, `stamp` its number, `expires_at` the time to live in epoch seconds.
#[derive(Clone, Debug)]
pub struct VerdictTable {
    tables: Arc<Tables>,
    table: TableName,
}

impl VerdictTable {
    /// Verdicts in `table`; `config` must be for the table's region.
    pub fn new(config: &SdkConfig, table: TableName) -> Self {
        Self { tables: Arc::new(Tables::new(config)), table }
    }
}

impl KeepVerdicts for VerdictTable {
    async fn load(&self, key: &str) -> Result<Option<KeptText>, HealthError> {
        let get = GetItem::of(&self.table, item([("pk", AttributeValue::text(key))]));
        let Found { item: Some(item) } = self.tables.call(Operation::GET_ITEM, &get).await? else { return Ok(None) };
        let text = item.get("body").and_then(AttributeValue::as_text).unwrap_or_default().to_owned();
        let stamp = item.get("stamp").and_then(AttributeValue::as_number).and_then(|text| text.parse().ok());
        Ok(Some(KeptText { text, stamp: stamp.unwrap_or_default() }))
    }

    async fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> Result<Keeping, HealthError> {
        // Its own stamp is there when an attempt was carried out whose answer got lost.
        let own = (":own".to_owned(), number(kept.stamp));
        let seen = seen.map(|seen| (":seen".to_owned(), number(seen)));
        let condition = match seen {
            None => "attribute_not_exists(pk) OR stamp = :own",
            Some(_) => "attribute_not_exists(pk) OR attribute_not_exists(stamp) OR stamp = :own OR stamp = :seen",
        };
        let row = item([
            ("pk", AttributeValue::text(key)),
            ("body", AttributeValue::text(&kept.text)),
            ("stamp", number(kept.stamp)),
            ("expires_at", number(since_epoch(expires_at).as_secs())),
        ]);
        let put = PutItem::of(&self.table, row).under(condition, [own].into_iter().chain(seen).collect());
        match self.tables.call(Operation::PUT_ITEM, &put).await {
            Ok(Done {}) => Ok(Keeping::Kept),
            Err(failure) if is_condition(&failure) => Ok(Keeping::Overtaken),
            Err(failure) => Err(failure.into()),
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
