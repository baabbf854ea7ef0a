//! Encrypted queues that accept nothing without TLS.

use std::time::Duration;

use cfn::sqs::queue::RedrivePolicy;
use cfn::{Arn, Handle, RemovalPolicy, Resource, Value, events, kms, sqs};
use contracts::{Bound, resource};

use crate::constructs::policy::{Statement, document};
use crate::constructs::{DISPOSABLE, Scope, stateful};
use crate::system::Subject;

/// Receptions after which a message of a work queue is a dead letter.
const ATTEMPTS: i64 = 5;

/// A queue whose policy isn't written yet; it becomes a [`Queue`] by saying who sends to it.
pub(crate) struct OpenQueue {
    handle: Handle<sqs::Queue>,
    key: Value<Arn<kms::Key>>,
    name: String,
}

/// An encrypted queue with its policy.
pub(crate) struct Queue {
    handle: Handle<sqs::Queue>,
    key: Value<Arn<kms::Key>>,
    name: String,
}

impl OpenQueue {
    /// Adds a queue named `name` for what was given up on: it should be empty, an alarm says when it isn't, and it
    /// doesn't go with its stack.
    #[track_caller]
    pub(crate) fn dead_letters(
        scope: &mut Scope<'_>,
        logical_id: &str,
        name: &str,
        key: &Value<Arn<kms::Key>>,
    ) -> Self {
        let queue = Self::declaration(scope, name, scope.environment.queues().retention, key);
        scope.watch(logical_id, Subject::DeadLetters { queue: scope.environment.name(name) });
        Self { handle: scope.add(logical_id, stateful(queue)), key: key.clone(), name: name.to_owned() }
    }

    /// Adds a queue named `name` for places in a stream that was given up on. It is kept like dead letters, but the alarm
    /// is more urgent: the records themselves are gone within a day.
    #[track_caller]
    pub(crate) fn pointers(scope: &mut Scope<'_>, logical_id: &str, name: &str, key: &Value<Arn<kms::Key>>) -> Self {
        let queue = Self::declaration(scope, name, scope.environment.queues().retention, key);
        scope.watch(logical_id, Subject::Pointers { queue: scope.environment.name(name) });
        Self { handle: scope.add(logical_id, stateful(queue)), key: key.clone(), name: name.to_owned() }
    }

    /// Adds a queue named `name` that a function with this timeout works on; what fails five times goes to
    /// `dead_letters`.
    #[track_caller]
    pub(crate) fn work(
        scope: &mut Scope<'_>,
        logical_id: &str,
        name: &str,
        timeout: Duration,
        dead_letters: &Queue,
        key: &Value<Arn<kms::Key>>,
    ) -> Self {
        let queue = Self::declaration(scope, name, scope.environment.queues().retention, key)
            // Six times the function's timeout, so that no message comes again while its batch is still at work
            // (Lambda developer guide, "Using Lambda with Amazon SQS").
            .visibility_timeout(6 * whole_seconds(timeout))
            .redrive_policy(
                RedrivePolicy::new().dead_letter_target_arn(dead_letters.arn()).max_receive_count(ATTEMPTS),
            );
        scope.watch(logical_id, Subject::WorkQueue { queue: scope.environment.name(name) });
        Self { handle: scope.add(logical_id, stateful(queue)), key: key.clone(), name: name.to_owned() }
    }

    /// Adds a queue named `name` whose messages nobody misses when the queue goes, because of `why`.
    #[track_caller]
    pub(crate) fn passing(
        scope: &mut Scope<'_>,
        logical_id: &str,
        name: &str,
        retention: Duration,
        why: &str,
        key: &Value<Arn<kms::Key>>,
    ) -> Self {
        let queue = Self::declaration(scope, name, retention, key)
            .deletion_policy(RemovalPolicy::Delete)
            .update_replace_policy(RemovalPolicy::Delete)
            .metadata(DISPOSABLE, why);
        Self { handle: scope.add(logical_id, queue), key: key.clone(), name: name.to_owned() }
    }

    fn declaration(scope: &Scope<'_>, name: &str, retention: Duration, key: &Value<Arn<kms::Key>>) -> sqs::Queue {
        sqs::Queue::new()
            .queue_name(scope.environment.name(name))
            .message_retention_period(whole_seconds(retention))
            .kms_master_key_id(key)
            // One data key serves for five minutes: far fewer calls to KMS.
            .kms_data_key_reuse_period_seconds(300)
    }

    pub(crate) fn arn(&self) -> Value<Arn<sqs::Queue>> {
        self.handle.arn()
    }

    /// Only principals of the account that their own policies allow.
    #[track_caller]
    pub(crate) fn for_roles(self, scope: &mut Scope<'_>) -> Queue {
        self.with_policy(scope, None)
    }

    /// The rule too: EventBridge sends in the rule's name, as a target or as a target's dead-letter queue.
    #[track_caller]
    pub(crate) fn for_rule(self, scope: &mut Scope<'_>, rule: &Handle<events::Rule>) -> Queue {
        self.for_events(scope, "EventBridgeRule", rule.arn().into())
    }

    /// A bus too: EventBridge puts there what it can't encrypt or decrypt. The ARN is written out, because the bus
    /// itself refers to this queue.
    #[track_caller]
    pub(crate) fn for_bus(self, scope: &mut Scope<'_>, bus: &Value<String>) -> Queue {
        self.for_events(scope, "EventBridgeBus", bus.clone())
    }

    #[track_caller]
    fn for_events(self, scope: &mut Scope<'_>, sid: &str, source: Value<String>) -> Queue {
        let sender = Statement::allow(sid, ["sqs:SendMessage"], [self.arn().into()])
            .for_service("events.amazonaws.com")
            .when("ArnEquals", "aws:SourceArn", source.into_inner())
            .when("StringEquals", "aws:SourceAccount", cfn::pseudo::account_id().into_inner());
        self.with_policy(scope, Some(sender))
    }

    #[track_caller]
    fn with_policy(self, scope: &mut Scope<'_>, sender: Option<Statement>) -> Queue {
        let arn: Value<String> = self.handle.arn().into();
        let statements = sender.into_iter().chain([Statement::deny_without_tls("sqs:*", [arn])]);
        let policy = sqs::QueuePolicy::new(document(statements), [self.handle.reference()]);
        scope.add(&format!("{}Policy", self.handle.logical_id()), policy);
        Queue { handle: self.handle, key: self.key, name: self.name }
    }
}

impl Queue {
    pub(crate) fn arn(&self) -> Value<Arn<sqs::Queue>> {
        self.handle.arn()
    }

    pub(crate) fn url(&self) -> Value<String> {
        self.handle.reference().into()
    }

    pub(crate) fn key(&self) -> &Value<Arn<kms::Key>> {
        &self.key
    }

    /// The queue's name without system and environment.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sending messages.
    pub(crate) fn send(&self) -> Bound<Value<String>, resource::Queue, resource::Send> {
        Bound::new(&self.name, self.url(), vec![self.arn().into()]).encrypted_by(self.key.clone().into())
    }
}

/// A duration as CloudFormation writes it; parts of a second are dropped.
pub(crate) fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
