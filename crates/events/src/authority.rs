//! Which region owns what, and which regions get no traffic: the record of the authority table.
//!
//! There is one record for each [`Scope`], under the key `authority#<scope>`; today's systems have one, `authority#all`.
//! Whoever decides something (who owns, who is withdrawn) writes the record under the condition that its epoch is the one
//! that was seen, and raises the epoch by one. So decisions have an order, and two records with the same epoch say the same.
//! Renewing a lease decides nothing and leaves the epoch as it is.
//!
//! Nothing is read, written or decided here, and no clock is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::excerpt;
use crate::{AttributeValue, Entity, Item};

/// The version of the record's form. An attribute that is added leaves it as it is; any other change raises it.
pub const VERSION: u64 = 1;

/// Most bytes of [`Authority::changed_by`].
pub const MAX_CHANGED_BY_BYTES: usize = 256;

mod names {
    pub(super) const PK: &str = "pk";
    pub(super) const VERSION: &str = "version";
    pub(super) const OWNER: &str = "owner";
    pub(super) const EPOCH: &str = "epoch";
    pub(super) const LEASE_UNTIL: &str = "lease_until";
    pub(super) const WITHDRAWN: &str = "withdrawn";
    pub(super) const CHANGED_AT: &str = "changed_at";
    pub(super) const CHANGED_BY: &str = "changed_by";
}

/// What the record of one scope says.
///
/// As an item: `pk`, `owner` and `changed_by` are texts, `version` and `epoch` are numbers, `changed_at` and `lease_until` are
/// texts in RFC 3339, in UTC and to the millisecond, so that comparing them as texts compares the times. `withdrawn` is a map
/// from region to epoch, empty when no region is withdrawn: a write can then set or remove one region in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// What it is about.
    pub scope: Scope,
    /// The region that owns the scope: where its changes are taken from the source.
    pub owner: Region,
    /// The number of the last decision. Invariant: it only rises.
    pub epoch: NonZeroU64,
    /// Until when the owner may act without renewing; none: its right ends with a higher epoch only.
    pub lease_until: Option<Timestamp>,
    /// The regions that must get no traffic however well they look, each with the epoch of the decision.
    /// Invariant: none is higher than `epoch`, and only the record about everything has any.
    pub withdrawn: BTreeMap<Region, NonZeroU64>,
    /// When the last decision was made.
    pub changed_at: Timestamp,
    /// Who made it: a person or a program. Invariant: not empty, and at most [`MAX_CHANGED_BY_BYTES`] long.
    pub changed_by: String,
}

impl Authority {
    /// The record's key, the value of the attribute `pk`.
    pub fn key(scope: &Scope) -> String {
        format!("authority#{scope}")
    }

    /// The record as an item. Times are written to the millisecond.
    pub fn to_item(&self) -> Item {
        let Self { scope, owner, epoch, lease_until, withdrawn, changed_at, changed_by } = self;
        let number = |number: NonZeroU64| AttributeValue::N(number.to_string());
        let withdrawn = withdrawn.iter().map(|(region, epoch)| (region.to_string(), number(*epoch))).collect();
        let attributes = [
            (names::PK, AttributeValue::text(Self::key(scope))),
            (names::VERSION, AttributeValue::N(VERSION.to_string())),
            (names::OWNER, AttributeValue::text(owner.as_str())),
            (names::EPOCH, number(*epoch)),
            (names::WITHDRAWN, AttributeValue::M(withdrawn)),
            (names::CHANGED_AT, AttributeValue::text(time_text(*changed_at))),
            (names::CHANGED_BY, AttributeValue::text(changed_by)),
        ];
        let lease = lease_until.map(|until| (names::LEASE_UNTIL, AttributeValue::text(time_text(until))));
        attributes.into_iter().chain(lease).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Reads an item. Attributes that aren't known are passed over.
    ///
    /// # Errors
    /// When it is no such record, or one of another version. Trying again gives the same.
    pub fn from_item(item: &Item) -> Result<Self, MalformedAuthority> {
        let version = required(item, names::VERSION, "a number", AttributeValue::as_number)?;
        if version != VERSION.to_string() {
            return Err(MalformedAuthority::UnknownVersion { found: excerpt(version).into_owned() });
        }
        let key = required(item, names::PK, "a text", AttributeValue::as_text)?;
        let scope = key.strip_prefix("authority#").and_then(|scope| scope.parse().ok());
        let scope = scope.ok_or_else(|| unreadable(names::PK, key, "`authority#` and a scope, such as `all`"))?;
        let owner = required(item, names::OWNER, "a text", AttributeValue::as_text)?;
        let epoch = required(item, names::EPOCH, "a number", AttributeValue::as_number)?;
        let changed_by = required(item, names::CHANGED_BY, "a text", AttributeValue::as_text)?;
        if changed_by.trim().is_empty() || changed_by.len() > MAX_CHANGED_BY_BYTES {
            return Err(unreadable(names::CHANGED_BY, changed_by, "a name of 1 to 256 bytes"));
        }
        let read = Self {
            owner: owner.parse().map_err(|_| unreadable(names::OWNER, owner, "a region"))?,
            epoch: epoch.parse().map_err(|_| unreadable(names::EPOCH, epoch, EPOCHS))?,
            lease_until: match item.get(names::LEASE_UNTIL) {
                None => None,
                Some(_) => Some(time(item, names::LEASE_UNTIL)?),
            },
            withdrawn: withdrawn(item)?,
            changed_at: time(item, names::CHANGED_AT)?,
            changed_by: changed_by.to_owned(),
            scope,
        };
        read.checked()
    }

    fn checked(self) -> Result<Self, MalformedAuthority> {
        if let Some((region, epoch)) = self.withdrawn.iter().find(|(_, epoch)| **epoch > self.epoch) {
            let (region, withdrawn) = (region.clone(), *epoch);
            return Err(MalformedAuthority::WithdrawnLater { region, withdrawn, epoch: self.epoch });
        }
        if !self.withdrawn.is_empty() && !self.scope.is_all() {
            return Err(MalformedAuthority::WithdrawnInPart { scope: self.scope });
        }
        Ok(self)
    }
}

/// What epochs are.
const EPOCHS: &str = "a whole number from 1 to 18446744073709551615";

fn withdrawn(item: &Item) -> Result<BTreeMap<Region, NonZeroU64>, MalformedAuthority> {
    let entries = required(item, names::WITHDRAWN, "a map from region to epoch", AttributeValue::as_map)?;
    let entries = entries.iter().map(|(region, epoch)| {
        let name = region.parse().map_err(|_| unreadable(names::WITHDRAWN, region, "a region"))?;
        let epoch = epoch.as_number().ok_or(MalformedAuthority::WrongType {
            attribute: names::WITHDRAWN,
            expected: "a map from region to epoch",
        })?;
        Ok((name, epoch.parse().map_err(|_| unreadable(names::WITHDRAWN, epoch, EPOCHS))?))
    });
    entries.collect()
}

fn time(item: &Item, attribute: &'static str) -> Result<Timestamp, MalformedAuthority> {
    let text = required(item, attribute, "a text", AttributeValue::as_text)?;
    let time = text.parse().ok().filter(|time| time_text(*time) == text);
    time.ok_or_else(|| {
        unreadable(attribute, text, "a time in UTC to the millisecond, such as `2026-03-04T05:06:07.891Z`")
    })
}

/// The one way in which a record writes a time.
fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn required<'a, T: ?Sized>(
    item: &'a Item,
    attribute: &'static str,
    expected: &'static str,
    get: impl Fn(&'a AttributeValue) -> Option<&'a T>,
) -> Result<&'a T, MalformedAuthority> {
    let value = item.get(attribute).ok_or(MalformedAuthority::Missing { attribute })?;
    get(value).ok_or(MalformedAuthority::WrongType { attribute, expected })
}

fn unreadable(attribute: &'static str, found: &str, expected: &'static str) -> MalformedAuthority {
    MalformedAuthority::Unreadable { attribute, found: excerpt(found).into_owned(), expected }
}

/// Why an item is no record of authority. Every program goes on with what it knew before; a person has to mend the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedAuthority {
    /// The record has a form that this release doesn't know.
    #[error(
        "the record has version {found}, and this release understands version {VERSION} only; deploy one that knows it"
    )]
    UnknownVersion {
        /// What the record says.
        found: String,
    },
    /// An attribute isn't there.
    #[error("the record has no `{attribute}`")]
    Missing {
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has another type.
    #[error("`{attribute}` of the record is not {expected}")]
    WrongType {
        /// The attribute.
        attribute: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// An attribute's value can't be understood.
    #[error("`{attribute}` of the record holds `{found}`, which is not {expected}")]
    Unreadable {
        /// The attribute.
        attribute: &'static str,
        /// Its value, shortened.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A decision is said to be later than the last one.
    #[error("the record withdraws `{region}` with epoch {withdrawn}, and its own epoch is only {epoch}")]
    WithdrawnLater {
        /// The region.
        region: Region,
        /// The epoch beside the region.
        withdrawn: NonZeroU64,
        /// The record's.
        epoch: NonZeroU64,
    },
    /// Traffic isn't split by topic.
    #[error("the record about `{scope}` withdraws regions, which only the record about `all` can do")]
    WithdrawnInPart {
        /// What the record is about.
        scope: Scope,
    },
}

/// What a record is about: everything, or some topics. Scopes of one system don't overlap.
///
/// As text `all`, or the topics in alphabetical order with commas between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(BTreeSet<Entity>);

impl Scope {
    /// All topics.
    pub fn all() -> Self {
        Self(Entity::ALL.into())
    }

    /// The topics of some entities; none when there are none.
    pub fn of(entities: impl IntoIterator<Item = Entity>) -> Option<Self> {
        let entities: BTreeSet<Entity> = entities.into_iter().collect();
        (!entities.is_empty()).then_some(Self(entities))
    }

    /// Whether it is everything.
    pub fn is_all(&self) -> bool {
        self.0.len() == Entity::ALL.len()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        let topics: BTreeSet<&str> = self.0.iter().map(|entity| entity.topic()).collect();
        f.write_str(&topics.into_iter().collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if text == "all" {
            return Ok(Self::all());
        }
        let entities: Option<BTreeSet<Entity>> = text.split(',').map(Entity::from_topic).collect();
        // Each set has one text, so that it has one record.
        let scope = entities.and_then(Self::of).filter(|scope| scope.to_string() == text);
        scope.ok_or_else(|| InvalidScope(excerpt(text).into_owned()))
    }
}

/// A text that names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope: `all`, or some topics in alphabetical order, such as `qlik.customers,qlik.orders`")]
pub struct InvalidScope(String);

/// What matters of a record to those who only obey it, and that there is none as its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The number of the last decision; 0 when none has been made, so that there is no record.
    pub epoch: u64,
    /// The region that owns the scope, once one does.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "region")]
    pub owner: Option<Region>,
    /// The regions that must get no traffic, each with the epoch of the decision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "withdrawals")]
    pub withdrawn: BTreeMap<Region, NonZeroU64>,
}

impl Standing {
    /// How things stand by a record, or without one: nobody owns anything by decision, and nobody is withdrawn.
    pub fn of(record: Option<&Authority>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            epoch: record.epoch.get(),
            owner: Some(record.owner.clone()),
            withdrawn: record.withdrawn.clone(),
        })
    }

    /// Whether `region` must get no traffic.
    pub fn is_withdrawn(&self, region: &Region) -> bool {
        self.withdrawn.contains_key(region)
    }
}

mod region {
    use super::Region;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(region: &Option<Region>, serializer: S) -> Result<S::Ok, S::Error> {
        match region {
            Some(region) => crate::text::serialize(region, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// An absent member isn't deserialised, so what is there is a region.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Region>, D::Error> {
        crate::text::deserialize(deserializer).map(Some)
    }
}

mod withdrawals {
    use super::{BTreeMap, NonZeroU64, Region};
    use serde::{Deserialize, Deserializer, Serializer, de};

    type Withdrawals = BTreeMap<Region, NonZeroU64>;

    pub(super) fn serialize<S: Serializer>(withdrawn: &Withdrawals, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(withdrawn.iter().map(|(region, epoch)| (region.as_str(), epoch)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Withdrawals, D::Error> {
        let entries = BTreeMap::<String, NonZeroU64>::deserialize(deserializer)?;
        entries.into_iter().map(|(region, epoch)| Ok((region.parse().map_err(de::Error::custom)?, epoch))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn region(name: &str) -> Region {
        Region::new(name).expect("a region")
    }

    fn epoch(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).expect("from 1")
    }

    fn record() -> Authority {
        Authority {
            scope: Scope::all(),
            owner: region("us-west-2"),
            epoch: epoch(6),
            lease_until: Some("2026-03-04T05:06:37.891Z".parse().expect("a time")),
            withdrawn: [(region("us-east-1"), epoch(5))].into(),
            changed_at: "2026-03-04T05:06:07.891Z".parse().expect("a time"),
            changed_by: "ada".to_owned(),
        }
    }

    #[test]
    fn the_item_is_the_documented_form() {
        let expected = json!({
            "pk": { "S": "authority#all" },
            "version": { "N": "1" },
            "owner": { "S": "us-west-2" },
            "epoch": { "N": "6" },
            "lease_until": { "S": "2026-03-04T05:06:37.891Z" },
            "withdrawn": { "M": { "us-east-1": { "N": "5" } } },
            "changed_at": { "S": "2026-03-04T05:06:07.891Z" },
            "changed_by": { "S": "ada" },
        });
        assert_eq!(serde_json::to_value(record().to_item()).expect("JSON"), expected);
        let without = Authority { lease_until: None, withdrawn: BTreeMap::new(), ..record() };
        let item = serde_json::to_value(without.to_item()).expect("JSON");
        assert_eq!((item.get("lease_until"), &item["withdrawn"]), (None, &json!({ "M": {} })));
    }

    #[test]
    fn what_is_no_record_is_refused_with_a_reason() {
        let check = |attribute: &str, value: Option<Value>, expected: &str| {
            let mut item = serde_json::to_value(record().to_item()).expect("JSON");
            let attributes = item.as_object_mut().expect("an object");
            match value {
                Some(value) => attributes.insert(attribute.to_owned(), value),
                None => attributes.remove(attribute),
            };
            let item: Item = serde_json::from_value(item).expect("an item");
            let error = Authority::from_item(&item).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        for attribute in ["pk", "version", "owner", "epoch", "withdrawn", "changed_at", "changed_by"] {
            check(attribute, None, &format!("the record has no `{attribute}`"));
            check(attribute, Some(json!({ "BOOL": true })), &format!("`{attribute}` of the record is not a "));
        }
        check("version", Some(json!({ "N": "2" })), "version 2, and this release understands version 1 only");
        for key in
            ["authority", "authority#", "authority#qlik.others", "authority#qlik.orders,qlik.customers", "plan#all"]
        {
            check("pk", Some(json!({ "S": key })), &format!("`pk` of the record holds `{key}`"));
        }
        check("owner", Some(json!({ "S": "nowhere" })), "`owner` of the record holds `nowhere`, which is not a region");
        for number in ["0", "-1", "1.5", "18446744073709551616"] {
            check("epoch", Some(json!({ "N": number })), &format!("`epoch` of the record holds `{number}`"));
        }
        for time in ["", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.891+00:00", "2026-03-04T05:06:07.891000Z"] {
            check("changed_at", Some(json!({ "S": time })), &format!("`changed_at` of the record holds `{time}`"));
            check("lease_until", Some(json!({ "S": time })), &format!("`lease_until` of the record holds `{time}`"));
        }
        check("changed_by", Some(json!({ "S": " " })), "`changed_by` of the record holds ` `");
        check("changed_by", Some(json!({ "S": "a".repeat(257) })), "a name of 1 to 256 bytes");
        check("withdrawn", Some(json!({ "M": { "nowhere": { "N": "1" } } })), "holds `nowhere`, which is not a region");
        check("withdrawn", Some(json!({ "M": { "us-east-1": { "N": "0" } } })), "`withdrawn` of the record holds `0`");
        check(
            "withdrawn",
            Some(json!({ "M": { "us-east-1": { "S": "5" } } })),
            "`withdrawn` of the record is not a map",
        );
        let later = "withdraws `us-east-1` with epoch 7, and its own epoch is only 6";
        check("withdrawn", Some(json!({ "M": { "us-east-1": { "N": "7" } } })), later);
        let part = "the record about `qlik.orders` withdraws regions";
        check("pk", Some(json!({ "S": "authority#qlik.orders" })), part);
    }

    #[test]
    fn attributes_that_are_not_known_are_passed_over() {
        let mut item = record().to_item();
        item.insert("note".to_owned(), AttributeValue::text("drill"));
        assert_eq!(Authority::from_item(&item), Ok(record()));
    }

    /// Who makes the first record copies it from there, and so does who makes one in place of a record that is gone.
    #[test]
    fn the_record_of_the_runbook_can_be_read() {
        let runbook = include_str!("../../../docs/runbooks.md");
        let records: Vec<&str> = runbook.split("cat > record.json <<END\n").skip(1).collect();
        assert_eq!(records.len(), 2, "the runbook makes two");
        for (after, number) in records.into_iter().zip([1, 8]) {
            let (record, _) = after.split_once("\nEND\n").expect("the record ends");
            let record = record
                .replace("$(date -u +%FT%T.000Z)", "2026-03-04T05:06:07.000Z")
                .replace("${USER:?set it to your name}", "ada")
                .replace("$((known + 1))", "8");
            let item: Item = serde_json::from_str(&record).expect("an item");
            let expected = Authority {
                epoch: epoch(number),
                lease_until: None,
                withdrawn: BTreeMap::new(),
                changed_at: "2026-03-04T05:06:07Z".parse().expect("a time"),
                ..self::record()
            };
            assert_eq!(Authority::from_item(&item), Ok(expected));
        }
    }

    #[test]
    fn a_standing_is_what_a_record_says_or_that_there_is_none() {
        let none = Standing::of(None);
        assert_eq!(serde_json::to_value(&none).expect("JSON"), json!({ "epoch": 0 }));
        assert!(!none.is_withdrawn(&region("us-east-1")));
        let some = Standing::of(Some(&record()));
        let expected = json!({ "epoch": 6, "owner": "us-west-2", "withdrawn": { "us-east-1": 5 } });
        assert_eq!(serde_json::to_value(&some).expect("JSON"), expected);
        assert!(some.is_withdrawn(&region("us-east-1")) && !some.is_withdrawn(&region("us-west-2")));
        for standing in [none, some] {
            let text = serde_json::to_string(&standing).expect("JSON");
            assert_eq!(serde_json::from_str::<Standing>(&text).expect("reads back"), standing);
        }
    }

    fn regions() -> impl Strategy<Value = Region> {
        prop::sample::select(vec!["us-west-2", "us-east-1", "us-east-2", "us-gov-west-1"]).prop_map(region)
    }

    fn times() -> impl Strategy<Value = Timestamp> {
        (-377_705_023_201_000_i64..253_402_207_200_000)
            .prop_map(|millis| Timestamp::from_millisecond(millis).expect("a time"))
    }

    fn epochs() -> impl Strategy<Value = NonZeroU64> {
        prop_oneof![Just(1), Just(u64::MAX), 1..u64::MAX].prop_map(epoch)
    }

    fn records() -> impl Strategy<Value = Authority> {
        let scopes = prop::sample::subsequence(Entity::ALL.to_vec(), 1..=3)
            .prop_map(|entities| Scope::of(entities).expect("some"));
        let withdrawn = prop::collection::btree_map(regions(), epochs(), 0..3);
        (scopes, regions(), epochs(), prop::option::of(times()), withdrawn, times(), "[^ ]{1,40}").prop_map(
            |(scope, owner, epoch, lease_until, withdrawn, changed_at, changed_by)| {
                let withdrawn = if scope.is_all() { withdrawn } else { BTreeMap::new() };
                let withdrawn = withdrawn.into_iter().map(|(region, later)| (region, later.min(epoch))).collect();
                Authority { scope, owner, epoch, lease_until, withdrawn, changed_at, changed_by }
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(record in records()) {
            let changed_by_is_blank = record.changed_by.trim().is_empty();
            prop_assume!(!changed_by_is_blank);
            prop_assert_eq!(Authority::from_item(&record.to_item()), Ok(record.clone()));
            let standing = Standing::of(Some(&record));
            let text = serde_json::to_string(&standing).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Standing>(&text).expect("reads back"), standing);
        }
    }
}
