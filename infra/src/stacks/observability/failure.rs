//! The ways in which the system fails that an alarm tells of: name, severity, meaning.
//!
//! The name is the last part of the alarm's name and the anchor of its section in the runbooks.

/// Who has to do something, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// At once: data is being lost or will be before the next working day, or callers are turned away. The region's
    /// composite alarm rings for it, so that a failure with many symptoms rings once.
    PagesForRegion,
    /// At once, and not by the region's composite alarm: it is about something else than this region.
    Pages,
    /// In working hours: nothing is lost while it waits, or it is a cause whose effect has an alarm that pages.
    Ticket,
}

impl Severity {
    /// The word at the beginning of an alarm's description.
    fn word(self) -> &'static str {
        match self {
            Self::PagesForRegion | Self::Pages => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// A dead-letter queue isn't empty.
    DeadLettersWaiting,
    /// A dead letter will soon be deleted by its queue.
    DeadLettersExpiring,
    /// Stream records were given up on, and only their places are noted.
    PointersWaiting,
    /// A work queue's messages wait too long.
    MessagesLate,
    /// Runs of a function fail.
    FunctionErrors,
    /// Runs of a function are refused for want of concurrency.
    FunctionThrottled,
    /// A function nearly runs out of time.
    FunctionSlow,
    /// A function falls behind the streams that it reads.
    StreamBehind,
    /// What a function failed on couldn't be handed to its failure queue.
    FailuresLost,
    /// Lambda dropped a start without running it.
    StartsDropped,
    /// A rule's target refused events for good.
    RuleFailed,
    /// A rule put events into its dead-letter queue.
    RuleUndelivered,
    /// A rule could neither deliver an event nor put it into its dead-letter queue.
    RuleEventsLost,
    /// A rule runs slower than events come.
    RuleThrottled,
    /// A schedule's target refused to start.
    ScheduleFailed,
    /// A schedule was slowed down.
    ScheduleThrottled,
    /// A schedule gave up on a start.
    ScheduleDropped,
    /// A table refuses requests for want of capacity.
    TableThrottled,
    /// DynamoDB itself fails.
    TableFailing,
    /// Changes reach another region's replica too late.
    ReplicationBehind,
    /// The API answers with errors of its own.
    ApiFailing,
    /// The API answers every request with an error of its own.
    ApiDown,
    /// A bus refused events behind an answer that says success.
    EntriesRefused,
    /// The API answers slowly.
    ApiSlow,
    /// A NAT gateway has no ports left for new connections.
    NatPortsExhausted,
    /// A NAT gateway drops packets.
    NatDropping,
    /// No node takes some pods.
    PodsPending,
    /// The cluster's API server fails.
    ControlPlaneFailing,
    /// The health checker finds its own region unhealthy.
    VerdictUnhealthy,
    /// The health checker finds its own region degraded for long.
    VerdictDegraded,
    /// The health checker finds another region unhealthy.
    PeerUnhealthy,
    /// Seen from all over the world, a region is unhealthy.
    RegionUnreachable,
    /// The health checker doesn't check.
    CheckerSilent,
    /// The health checker can't read which regions get no traffic.
    AuthorityUnread,
    /// A bus doesn't take a function's events.
    PublishFailing,
    /// Events reach a peer's bus too late.
    CrossRegionSlow,
    /// Events have been parked for long.
    ParkedLong,
    /// The authorizer can't decide.
    AuthorizerFailing,
    /// The keys that tokens are checked with can't be fetched.
    TokenKeysUnreachable,
}

impl Failure {
    /// The last part of an alarm's name, and the anchor of its runbook.
    pub(super) fn name(self) -> &'static str {
        self.facts().0
    }

    /// How soon somebody has to act.
    pub(super) fn severity(self) -> Severity {
        self.facts().1
    }

    /// What has happened, in one sentence.
    pub(super) fn meaning(self) -> &'static str {
        self.facts().2
    }

    fn facts(self) -> (&'static str, Severity, &'static str) {
        use Severity::{Pages, PagesForRegion, Ticket};
        match self {
            Self::DeadLettersWaiting => ("dead-letters-waiting", Ticket, "Something was given up on and waits here."),
            Self::DeadLettersExpiring => {
                ("dead-letters-expiring", PagesForRegion, "The queue will soon delete what was given up on.")
            }
            Self::PointersWaiting => (
                "pointers-waiting",
                PagesForRegion,
                "Stream records were given up on, and the stream forgets them 24 hours after their change.",
            ),
            Self::MessagesLate => ("messages-late", PagesForRegion, "Messages wait too long to be worked on."),
            Self::FunctionErrors => ("function-errors", Ticket, "Runs of the function keep failing."),
            Self::FunctionThrottled => {
                ("function-throttled", Ticket, "Lambda refuses runs of the function for want of concurrency.")
            }
            Self::FunctionSlow => ("function-slow", Ticket, "One run in a hundred needs 80 % of the timeout or more."),
            Self::StreamBehind => {
                ("stream-behind", PagesForRegion, "The function is far behind the streams that it reads.")
            }
            Self::FailuresLost => {
                ("failures-lost", PagesForRegion, "Lambda could not hand a failure to the function's failure queue.")
            }
            Self::StartsDropped => ("starts-dropped", Ticket, "Lambda dropped a start without running the function."),
            Self::RuleFailed => ("rule-failed", Ticket, "The rule's target refused events for good."),
            Self::RuleUndelivered => {
                ("rule-undelivered", Ticket, "The rule put events into its dead-letter queue instead of its target.")
            }
            Self::RuleEventsLost => {
                ("rule-events-lost", PagesForRegion, "Events reached neither the rule's target nor its dead letters.")
            }
            Self::RuleThrottled => ("rule-throttled", Ticket, "The rule runs slower than events come in."),
            Self::ScheduleFailed => ("schedule-failed", Ticket, "The schedule's target refused to start."),
            Self::ScheduleThrottled => ("schedule-throttled", Ticket, "Starts of the schedule are slowed down."),
            Self::ScheduleDropped => ("schedule-dropped", Ticket, "The schedule gave up on a start."),
            Self::TableThrottled => ("table-throttled", Ticket, "The table refuses requests for want of capacity."),
            Self::TableFailing => ("table-failing", PagesForRegion, "DynamoDB fails on requests to the table."),
            Self::ReplicationBehind => {
                ("replication-behind", PagesForRegion, "Changes reach the other region's replica too late.")
            }
            Self::ApiFailing => {
                ("api-failing", PagesForRegion, "The API answers too many requests with its own errors.")
            }
            Self::ApiDown => (
                "api-down",
                PagesForRegion,
                "The API answered every request of a quarter of an hour with its own errors.",
            ),
            Self::EntriesRefused => (
                "entries-refused",
                Ticket,
                "Event buses of the region refused events, which their senders may not notice.",
            ),
            Self::ApiSlow => ("api-slow", Ticket, "One request in a hundred to the API takes a second or more."),
            Self::NatPortsExhausted => {
                ("nat-ports-exhausted", Ticket, "The NAT gateway has no ports left for new connections.")
            }
            Self::NatDropping => ("nat-dropping", Ticket, "The NAT gateway drops packets."),
            Self::PodsPending => ("pods-pending", Ticket, "Pods have waited long for a node that takes them."),
            Self::ControlPlaneFailing => {
                ("control-plane-failing", Ticket, "The cluster's API server answers too many requests with errors.")
            }
            Self::VerdictUnhealthy => {
                ("verdict-unhealthy", PagesForRegion, "The health checker finds its own region unhealthy.")
            }
            Self::VerdictDegraded => {
                ("verdict-degraded", Ticket, "The health checker has found its own region degraded for long.")
            }
            Self::PeerUnhealthy => {
                ("peer-unhealthy", Pages, "Seen from this region, another region of the system is unhealthy.")
            }
            Self::RegionUnreachable => {
                ("region-unreachable", Pages, "Route 53 finds the region unhealthy and leads clients elsewhere.")
            }
            Self::CheckerSilent => (
                "checker-silent",
                PagesForRegion,
                "The health checker has not checked, so nobody knows the region's health.",
            ),
            Self::AuthorityUnread => (
                "authority-unread",
                Ticket,
                "The health checker cannot read the record of authority, so a decision to take the region out has no effect.",
            ),
            Self::PublishFailing => ("publish-failing", Ticket, "A bus does not take the function's events."),
            Self::CrossRegionSlow => {
                ("cross-region-slow", Ticket, "One event in a hundred takes a minute or more to reach the peer's bus.")
            }
            Self::ParkedLong => {
                ("parked-long", PagesForRegion, "Events have been waiting for a peer for a quarter of an hour.")
            }
            Self::AuthorizerFailing => {
                ("authorizer-failing", PagesForRegion, "The authorizer cannot decide, so callers are turned away.")
            }
            Self::TokenKeysUnreachable => {
                ("token-keys-unreachable", Ticket, "The keys that tokens are checked with cannot be fetched.")
            }
        }
    }
}

/// The description of an alarm: how urgent, what happened, where the runbook is.
pub(super) fn describe(severity: Severity, meaning: &str, runbooks: &str, anchor: &str) -> String {
    format!("[{}] {meaning} Runbook: {runbooks}#{anchor}", severity.word())
}
