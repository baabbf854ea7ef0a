//! What comes out of queues, and what is on a bus.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::aws::Aws;

/// Queue and rule that exist for the test only.
const WITNESS: &str = "platform-test-witness";

/// A queue that is emptied: nothing else may read it.
pub(crate) struct Inbox {
    aws: Aws,
    url: String,
    bodies: Vec<String>,
}

impl Inbox {
    pub(crate) fn of(aws: &Aws, queue: &str) -> Self {
        let found = aws.call("sqs", "GetQueueUrl", &json!({"QueueName": queue}));
        Self { aws: aws.clone(), url: text(&found["QueueUrl"]), bodies: Vec::new() }
    }

    /// Whether a message with `part` in it has come so far.
    pub(crate) fn got(&mut self, part: &str) -> bool {
        self.fetch();
        self.bodies.iter().any(|body| body.contains(part))
    }

    /// How many messages have come so far.
    pub(crate) fn count(&mut self) -> usize {
        self.fetch();
        self.bodies.len()
    }

    /// The message that came last.
    pub(crate) fn last(&self) -> &str {
        self.bodies.last().expect("a message has come")
    }

    /// Puts a message into the queue.
    pub(crate) fn put(&self, body: &Json) {
        self.aws.call("sqs", "SendMessage", &json!({"QueueUrl": self.url, "MessageBody": body.to_string()}));
    }

    fn fetch(&mut self) {
        loop {
            let request = json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10});
            let answer = self.aws.call("sqs", "ReceiveMessage", &request);
            let messages = answer["Messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            if messages.is_empty() {
                return;
            }
            for message in messages {
                self.bodies.push(text(&message["Body"]));
                let handle = json!({"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]});
                self.aws.call("sqs", "DeleteMessage", &handle);
            }
        }
    }
}

/// Sees the events of changes and of the API on a region's bus, by a rule of its own.
pub(crate) struct Witness {
    inbox: Inbox,
    bus: String,
}

impl Witness {
    pub(crate) fn of(aws: &Aws, bus: &str) -> Self {
        let allow = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": "*",
            }],
        });
        let queue = json!({"QueueName": WITNESS, "Attributes": {"Policy": allow.to_string()}});
        aws.call("sqs", "CreateQueue", &queue);
        let pattern = json!({"source": ["tandem.cdc", "tandem.cross-region", "tandem.transformer"]});
        let rule = json!({"Name": WITNESS, "EventBusName": bus, "EventPattern": pattern.to_string()});
        aws.call("events", "PutRule", &rule);
        let arn = format!("arn:aws:sqs:{}:000000000000:{WITNESS}", aws.region());
        let targets = json!({"Rule": WITNESS, "EventBusName": bus, "Targets": [{"Id": "witness", "Arn": arn}]});
        let put = aws.call("events", "PutTargets", &targets);
        assert_eq!(put["FailedEntryCount"], 0, "{put}");
        Self { inbox: Inbox::of(aws, WITNESS), bus: bus.to_owned() }
    }

    /// Whether an event with this source and detail type, and `part` in its detail, was on the bus.
    pub(crate) fn saw(&mut self, source: &str, detail_type: Option<&str>, part: &str) -> bool {
        self.times(source, detail_type, part) > 0
    }

    /// How often.
    pub(crate) fn times(&mut self, source: &str, detail_type: Option<&str>, part: &str) -> usize {
        self.inbox.fetch();
        let is_meant = |body: &&String| {
            let event: BTreeMap<String, Json> = serde_json::from_str(body).expect("an event");
            event["source"] == source
                && detail_type.is_none_or(|wanted| event["detail-type"] == wanted)
                && event["detail"].to_string().contains(part)
        };
        self.inbox.bodies.iter().filter(is_meant).count()
    }

    /// All events that were on the bus, as the bus wrote them, in the order of their arrival.
    pub(crate) fn bodies(&mut self) -> &[String] {
        self.inbox.fetch();
        &self.inbox.bodies
    }

    /// How many events with this source, and `part` in their detail, were on the bus so far.
    pub(crate) fn count(&mut self, source: &str, part: &str) -> usize {
        self.inbox.fetch();
        let events = self.inbox.bodies.iter().map(|body| serde_json::from_str::<Json>(body).expect("an event"));
        events.filter(|event| event["source"] == source && event["detail"].to_string().contains(part)).count()
    }

    /// The keys with `part` in them, of the events of the peer's changes, in the order in which each arrived first.
    pub(crate) fn keys_with(&mut self, part: &str) -> Vec<String> {
        self.inbox.fetch();
        let mut keys: Vec<String> = Vec::new();
        for body in &self.inbox.bodies {
            let event: Json = serde_json::from_str(body).expect("an event");
            let key = event["detail"]["key"].as_str().unwrap_or_default();
            if key.contains(part) && !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }

    /// The versions of a key in the events of the peer's changes, in the order in which each arrived first.
    pub(crate) fn versions_of(&mut self, key: &str) -> Vec<String> {
        self.inbox.fetch();
        let mut versions: Vec<String> = Vec::new();
        for body in &self.inbox.bodies {
            let event: Json = serde_json::from_str(body).expect("an event");
            let version = event["detail"]["version"].as_str().unwrap_or_default();
            if event["detail"]["key"] == key && !versions.iter().any(|known| known == version) {
                versions.push(version.to_owned());
            }
        }
        versions
    }

    /// Takes rule and queue away again.
    pub(crate) fn end(self) {
        let Self { inbox: Inbox { aws, url, .. }, bus } = self;
        let targets = json!({"Rule": WITNESS, "EventBusName": bus, "Ids": ["witness"]});
        aws.call("events", "RemoveTargets", &targets);
        aws.call("events", "DeleteRule", &json!({"Name": WITNESS, "EventBusName": bus}));
        aws.call("sqs", "DeleteQueue", &json!({"QueueUrl": url}));
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_else(|| panic!("text, not {json}")).to_owned()
}
