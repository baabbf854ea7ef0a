//! Kinds of resources, kinds of access, and the IAM actions that each pair stands for.
//!
//! A pair that isn't declared here doesn't compile: nobody can ask to publish to a table.
//! Actions are the least that the programs' calls need, from the service authorization reference of each service.

use std::num::NonZeroU64;

/// A kind of resource that programs use by an address from an environment variable.
pub trait Kind {
    /// What people call it, as diagrams and reports show it.
    const NAME: &'static str;
    /// The service prefix of this kind's IAM actions and of `kms:ViaService`.
    const SERVICE: &'static str;
    /// The parsed address: a name or a URL.
    type Address;

    /// Parses the address from the variable's text.
    ///
    /// # Errors
    /// A phrase that completes "`VARIABLE` is … , which is …".
    fn parse(text: &str) -> Result<Self::Address, String>;
}

/// A way to use a resource.
pub trait Access {
    /// The verb, as diagrams and reports show it.
    const NAME: &'static str;
    /// Which way data goes.
    const FLOW: Flow;
}

/// Which way data goes between a program and a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// From the resource to the program.
    In,
    /// From the program to the resource.
    Out,
    /// Both ways.
    Both,
}

/// Says that `Self` can be used in the way `A`, and what that takes.
pub trait Allows<A: Access>: Kind {
    /// IAM actions on the resource.
    const ACTIONS: &'static [&'static str];
    /// IAM actions on the customer-managed key that encrypts the resource, if there is one.
    const KEY_ACTIONS: &'static [&'static str];
    /// Why the actions can't be limited to the resource, if they can't: IAM then gets every resource, with this reason.
    const ON_ANY_BECAUSE: Option<&'static str> = None;
}

macro_rules! access {
    ($($(#[$doc:meta])* $name:ident, $verb:literal, $flow:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Access for $name {
            const NAME: &'static str = $verb;
            const FLOW: Flow = Flow::$flow;
        }
    )*};
}

access! {
    /// Put events onto a bus.
    Publish, "publishes to", Out;
    /// Send messages to a queue.
    Send, "sends to", Out;
    /// Write single rows under a condition.
    Write, "writes", Out;
    /// Read one small item and write it under a condition.
    Share, "shares its state in", Both;
    /// Put rows aside, and take them up again in order.
    Park, "parks events in", Both;
    /// Leave a record of what is to be done once, under a condition, and take it away again.
    Claim, "claims its work in", Both;
    /// Read a value or a row.
    Read, "reads", In;
    /// Write something small and read it back, to see that the resource works.
    Probe, "probes", Both;
    /// Ask for names of what there is, to see that the control plane answers.
    List, "lists", In;
}

macro_rules! kind {
    ($(#[$doc:meta])* $kind:ident, $name:literal of $service:literal, $(#[$address_doc:meta])* $address:ident, $check:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $kind {}

        $(#[$address_doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $address(String);

        impl $address {
            /// The address as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $address {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(concat!("not ", $what).to_owned()) }
            }
        }

        impl std::fmt::Display for $address {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Kind for $kind {
            const NAME: &'static str = $name;
            const SERVICE: &'static str = $service;
            type Address = $address;

            fn parse(text: &str) -> Result<$address, String> {
                text.parse()
            }
        }
    };
}

fn is_name(text: &str, lengths: std::ops::RangeInclusive<usize>, extra: &[u8]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
}

kind! {
    /// An EventBridge event bus.
    EventBus, "event bus" of "events",
    /// The name of an event bus: 1 to 256 letters, digits, `.`, `-`, `_`, `/`.
    BusName, |text| is_name(text, 1..=256, b".-_/"), "an event bus name (1 to 256 letters, digits, `.`, `-`, `_`, `/`)"
}
kind! {
    /// An SQS queue.
    Queue, "queue" of "sqs",
    /// The URL of a queue.
    QueueUrl, |text| text.starts_with("https://") || text.starts_with("http://"), "a queue URL (`https://…`)"
}
kind! {
    /// A DynamoDB table.
    Table, "table" of "dynamodb",
    /// The name of a table: 3 to 255 letters, digits, `.`, `-`, `_`.
    TableName, |text| is_name(text, 3..=255, b".-_"), "a table name (3 to 255 letters, digits, `.`, `-`, `_`)"
}

kind! {
    /// An SQS queue that is used in several regions under one name.
    NamedQueue, "queue" of "sqs",
    /// The name of a queue: 1 to 80 letters, digits, `-`, `_`.
    QueueName, |text| is_name(text, 1..=80, b"-_"), "a queue name (1 to 80 letters, digits, `-`, `_`)"
}
kind! {
    /// A secret of Secrets Manager.
    Secret, "secret" of "secretsmanager",
    /// The name of a secret: 1 to 512 letters, digits and `/_+=.@-`.
    SecretName, |text| is_name(text, 1..=512, b"/_+=.@-"), "a secret's name (1 to 512 letters, digits, `/_+=.@-`)"
}

/// The table of authority, or an epoch that stands in for it.
#[derive(Clone, Copy, Debug)]
pub enum Authority {}

/// Where a program learns whether its region owns what it works on, and with which epoch it writes.
///
/// As text the table's name, or `epoch:` and a number: no table's name holds a colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AuthoritySource {
    /// The record in this table says it.
    Table(TableName),
    /// Nobody says it: the program owns everything, always, and writes with this epoch. For a system of one region.
    Epoch(NonZeroU64),
}

impl Kind for Authority {
    const NAME: &'static str = Table::NAME;
    const SERVICE: &'static str = Table::SERVICE;
    type Address = AuthoritySource;

    fn parse(text: &str) -> Result<AuthoritySource, String> {
        let source = match text.strip_prefix("epoch:") {
            Some(epoch) => epoch.parse().ok().map(AuthoritySource::Epoch),
            None => text.parse().ok().map(AuthoritySource::Table),
        };
        source.ok_or_else(|| "neither a table name nor `epoch:` and a whole number from 1".to_owned())
    }
}

kind! {
    /// The control planes of the services that programs use: DynamoDB, EventBridge and SQS.
    ControlPlanes, "control planes" of "dynamodb",
    /// Whether control planes are looked at: `listed` or `ignored`.
    ControlPlaneListing, |text| matches!(text, "listed" | "ignored"), "`listed` or `ignored`"
}

impl ControlPlaneListing {
    /// Whether they are looked at.
    pub fn is_listed(&self) -> bool {
        self.as_str() == "listed"
    }
}

impl Allows<List> for ControlPlanes {
    const ACTIONS: &'static [&'static str] = &["dynamodb:ListTables", "events:ListEventBuses", "sqs:ListQueues"];
    const KEY_ACTIONS: &'static [&'static str] = &[];
    const ON_ANY_BECAUSE: Option<&'static str> =
        Some("listing names of tables, buses and queues knows no single resource");
}

impl Allows<Publish> for EventBus {
    const ACTIONS: &'static [&'static str] = &["events:PutEvents"];
    // EventBridge itself uses the bus's key; its publishers need no permission on it.
    const KEY_ACTIONS: &'static [&'static str] = &[];
}

impl Allows<Send> for Queue {
    const ACTIONS: &'static [&'static str] = &["sqs:SendMessage"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt", "kms:GenerateDataKey"];
}

impl Allows<Read> for Table {
    const ACTIONS: &'static [&'static str] = &["dynamodb:GetItem"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

impl Allows<Read> for Authority {
    const ACTIONS: &'static [&'static str] = <Table as Allows<Read>>::ACTIONS;
    const KEY_ACTIONS: &'static [&'static str] = <Table as Allows<Read>>::KEY_ACTIONS;
}

impl Allows<Write> for Table {
    const ACTIONS: &'static [&'static str] = &["dynamodb:PutItem", "dynamodb:UpdateItem"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

impl Allows<Probe> for Table {
    const ACTIONS: &'static [&'static str] = &["dynamodb:GetItem", "dynamodb:PutItem"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

impl Allows<Share> for Table {
    const ACTIONS: &'static [&'static str] = &["dynamodb:GetItem", "dynamodb:UpdateItem"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

impl Allows<Park> for Table {
    const ACTIONS: &'static [&'static str] =
        &["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

impl Allows<Claim> for Table {
    const ACTIONS: &'static [&'static str] = &["dynamodb:DeleteItem", "dynamodb:PutItem"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

impl Allows<Probe> for NamedQueue {
    const ACTIONS: &'static [&'static str] =
        &["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt", "kms:GenerateDataKey"];
}

impl Allows<Read> for Secret {
    const ACTIONS: &'static [&'static str] = &["secretsmanager:GetSecretValue"];
    const KEY_ACTIONS: &'static [&'static str] = &["kms:Decrypt"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert!(EventBus::parse("tandem-sandbox-events").is_ok());
        assert!(EventBus::parse("").is_err());
        assert!(Queue::parse("http://127.0.0.1:4566/000000000000/q").is_ok());
        assert!(Queue::parse("arn:aws:sqs:us-west-2:000000000000:q").is_err());
        assert!(Table::parse("ab").is_err());
        assert!(Table::parse("tandem-sandbox-customers").is_ok());
        assert!(Table::parse("a table").is_err());
        assert!(matches!(Authority::parse("tandem-sandbox-authority"), Ok(AuthoritySource::Table(_))));
        assert!(matches!(Authority::parse("epoch:7"), Ok(AuthoritySource::Epoch(epoch)) if epoch.get() == 7));
        for bad in ["", "epoch:", "epoch:0", "epoch:-1", "epoch:7:8", "a table"] {
            assert!(Authority::parse(bad).is_err(), "{bad}");
        }
    }
}
