//! The record that says which region owns what and which regions get no traffic, in the table of authority.
//!
//! The table is replicated with strong consistency: a consistent read in any region sees the last decision, or fails where the
//! region is cut off from the others. What to believe then is the caller's business.
//! Nothing is written here: decisions are people's, and a lease is renewed only by who stops when it ends.

use crate::failure::{Failure, FailureKind};
use crate::tables::{Found, GetItem, Operation, Tables, item};
use aws_types::SdkConfig;
use contracts::TableName;
use events::AttributeValue;
use events::authority::{Authority, MalformedAuthority, Scope};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Reads the record about everything.
pub trait ReadAuthority: Sync {
    /// The record as it is now; none when nothing has been decided yet. It may take for ever; the caller sets a limit.
    ///
    /// # Errors
    /// When it could not be asked for, or can't be understood. That is not absence.
    fn read(&self) -> impl Future<Output = Result<Option<Authority>, AuthorityError>> + Send;
}

impl<R: ReadAuthority> ReadAuthority for &R {
    fn read(&self) -> impl Future<Output = Result<Option<Authority>, AuthorityError>> + Send {
        (**self).read()
    }
}

/// Why nobody knows what the record says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Too much at once, no answer, the service's own fault, or a region that can't reach the others.
    #[error("the table of authority gave no answer ({code}: {message}); it is asked again later")]
    Unavailable {
        /// DynamoDB's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
    /// The program may not read the table, or there is none.
    #[error(
        "reading the table of authority was denied ({code}: {message}); check the program's role, the table and its key"
    )]
    Denied {
        /// DynamoDB's error code.
        code: String,
        /// What was reported.
        message: String,
    },
    /// There is a record, and it is none that this release understands.
    #[error("the record `{key}` of the table of authority can't be understood")]
    Malformed {
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        mistake: MalformedAuthority,
    },
    /// The caller's limit came first.
    #[error("the table of authority gave no answer within {} ms", limit.as_millis())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
}

impl AuthorityError {
    /// A word for metrics.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Denied { .. } => "denied",
            Self::Malformed { .. } => "malformed",
            Self::Timeout { .. } => "timeout",
        }
    }
}

impl From<Failure> for AuthorityError {
    fn from(Failure { kind, code, message, .. }: Failure) -> Self {
        match kind {
            FailureKind::Throttled | FailureKind::Unavailable => Self::Unavailable { code, message },
            FailureKind::Denied | FailureKind::Refused => Self::Denied { code, message },
        }
    }
}

/// The table of authority, by the replica of one region.
#[derive(Clone, Debug)]
pub struct AuthorityTable {
    tables: Arc<Tables>,
    table: TableName,
}

impl AuthorityTable {
    /// The replica of `table` in the region that `config` is for.
    pub fn new(config: &SdkConfig, table: TableName) -> Self {
        Self { tables: Arc::new(Tables::new(config)), table }
    }
}

impl ReadAuthority for AuthorityTable {
    async fn read(&self) -> Result<Option<Authority>, AuthorityError> {
        let key = Authority::key(&Scope::all());
        let get = GetItem::of(&self.table, item([("pk", AttributeValue::text(&key))]));
        let Found { item } = self.tables.call(Operation::GET_ITEM, &get).await?;
        let record = item.map(|item| Authority::from_item(&item)).transpose();
        record.map_err(|mistake| AuthorityError::Malformed { key, mistake })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, sdk_config};
    use events::Item;
    use serde_json::{Value, json};

    fn table(script: &Script) -> AuthorityTable {
        AuthorityTable::new(&sdk_config(script), "tandem-test-authority".parse().expect("a table"))
    }

    fn item() -> Value {
        json!({
            "pk": { "S": "authority#all" },
            "version": { "N": "1" },
            "owner": { "S": "us-west-2" },
            "epoch": { "N": "2" },
            "withdrawn": { "M": { "us-east-1": { "N": "2" } } },
            "changed_at": { "S": "2026-03-04T05:06:07.891Z" },
            "changed_by": { "S": "ada" },
        })
    }

    #[tokio::test]
    async fn the_record_is_read_consistently() {
        let script = Script::new().ok(json!({ "Item": item() }));
        let record = table(&script).read().await.expect("answered").expect("there");
        let expected: Item = serde_json::from_value(item()).expect("an item");
        assert_eq!(Ok(record), Authority::from_item(&expected));
        let request = json!({
            "TableName": "tandem-test-authority",
            "Key": { "pk": { "S": "authority#all" } },
            "ConsistentRead": true,
        });
        assert_eq!(script.bodies(), [request]);
    }

    #[tokio::test]
    async fn what_is_not_there_and_what_nobody_knows_are_told_apart() {
        let script = Script::new()
            .ok(json!({}))
            .error(400, "AccessDeniedException")
            .error(400, "ResourceNotFoundException")
            .error(500, "InternalServerError")
            .error(400, "ThrottlingException")
            .lost_connection();
        let table = table(&script);
        assert_eq!(table.read().await, Ok(None));
        for class in ["denied", "denied", "unavailable", "unavailable", "unavailable"] {
            let error = table.read().await.expect_err(class);
            assert_eq!(error.class(), class, "{error}");
        }
    }

    #[tokio::test]
    async fn a_record_that_is_not_understood_is_not_absent() {
        let changed = |name: &str, value: Value| {
            let mut item = item();
            item[name] = value;
            json!({ "Item": item })
        };
        let cases = [
            ("version", json!({ "N": "2" }), "version 2, and this release understands version 1 only"),
            ("epoch", json!({ "BOOL": true }), "`epoch` of the record is not a number"),
        ];
        for (name, value, expected) in cases {
            let script = Script::new().ok(changed(name, value));
            let error = table(&script).read().await.expect_err(expected);
            assert_eq!(error.class(), "malformed");
            let mistake = std::error::Error::source(&error).expect("a reason").to_string();
            assert!(mistake.contains(expected), "{mistake}");
        }
    }
}
