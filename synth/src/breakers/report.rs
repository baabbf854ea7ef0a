//! How a breaker stands and what a command did, for people and for programs.

use aws::routes::Counted;
use breaker::{Command, Lot, Reason, Shared, State};
use events::Timestamp;
use serde::Serialize;

use super::timestamp;
use super::ways::Way;
use crate::redrive::counted;
use crate::ui::elapsed_text;

/// How the breakers stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The environment.
    pub environment: String,
    /// When they were looked at.
    pub at: Timestamp,
    /// The breakers, region by region.
    pub breakers: Vec<Shown>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Commanded {
    /// The environment.
    pub environment: String,
    /// When it was done.
    pub at: Timestamp,
    /// The command: `force-open`, `force-closed`, `metrics-only` or `release`.
    pub command: String,
    /// What was given for a reason.
    pub reason: String,
    /// Whether anything was written; otherwise the breaker did already what was asked for.
    pub changed: bool,
    /// The breaker before.
    pub before: Shown,
    /// The breaker after.
    pub after: Shown,
}

/// One breaker, as its record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The region whose router sends.
    pub from: String,
    /// The region that it sends to.
    pub to: String,
    /// The bus there.
    pub target: String,
    /// `closed`, `open`, `half_open`, `forced_open`, `forced_closed` or `metrics_only`.
    pub state: String,
    /// When the state was entered; nothing if nothing has ever happened on this way.
    pub since: Option<Timestamp>,
    /// Why it was entered, in a word.
    pub reason: String,
    /// What the operator said who commanded it.
    pub note: Option<String>,
    /// Rises by one each time events begin to be parked.
    pub episode: u64,
    /// Until when an open breaker waits before the next probe.
    pub open_until: Option<Timestamp>,
    /// How often the open time has doubled in this episode: once for each probe that failed, up to its longest.
    pub doubled: Option<u32>,
    /// Probes that have gone well, of a half-open breaker.
    pub good_probes: Option<u32>,
    /// Probes that run, of a half-open breaker.
    pub probes: Vec<Probe>,
    /// Events that wait.
    pub waiting: Waiting,
    /// Events parked since the record exists, repeats included.
    pub parked_ever: u64,
    /// The record's version; 0 if there is no record yet.
    pub version: u64,
}

/// A probe that runs, or whose end was never told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The run of the router that holds it.
    pub owner: String,
    /// When it counts no longer.
    pub expires_at: Timestamp,
}

/// What waits for the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many events.
    pub events: u64,
    /// When the oldest of them was parked, as far as that is known.
    pub oldest_parked_at: Option<Timestamp>,
    /// Whether they were counted now; otherwise `events` is the most that there can be, by the drain's last count and what
    /// was parked since.
    pub counted: bool,
    /// Why they weren't counted although that was wanted.
    pub problem: Option<String>,
}

impl Waiting {
    /// Nothing may be parked.
    pub(super) fn none() -> Self {
        Self { events: 0, oldest_parked_at: None, counted: true, problem: None }
    }

    /// What was just counted.
    pub(super) fn counted(counted: &Counted) -> Self {
        let oldest_parked_at = counted.oldest.as_ref().map(|oldest| timestamp(oldest.parked_at));
        Self { events: counted.events, oldest_parked_at, counted: true, problem: None }
    }

    /// What the record says, with what came in the way of counting, if it was tried.
    pub(super) fn by_record(shared: &Shared, problem: Option<String>) -> Self {
        if shared.state.lot() == Lot::Empty {
            return Self::none();
        }
        Self {
            events: shared.depth(),
            oldest_parked_at: shared.survey.oldest.filter(|_| shared.survey.depth > 0).map(timestamp),
            counted: false,
            problem,
        }
    }

    fn render(&self, at: Timestamp) -> String {
        let events = usize::try_from(self.events).unwrap_or(usize::MAX);
        let most = if self.counted { "" } else { "at most " };
        match (self.events, self.oldest_parked_at) {
            (0, _) => "nothing".to_owned(),
            (_, None) => format!("{most}{}", counted(events, "event")),
            (_, Some(oldest)) => format!("{most}{}, the oldest for {}", counted(events, "event"), between(oldest, at)),
        }
    }
}

impl Shown {
    pub(super) fn new(way: &Way, shared: &Shared, waiting: Waiting) -> Self {
        let Shared { version, state, episode, since, reason, note, parks, survey: _ } = shared;
        let (mut open_until, mut doubled, mut good_probes, mut probes) = (None, None, None, Vec::new());
        match state {
            State::Open { until, step } => (open_until, doubled) = (Some(timestamp(*until)), Some(*step)),
            State::HalfOpen { step, probes: leases, successes } => {
                (doubled, good_probes) = (Some(*step), Some(*successes));
                probes = leases
                    .iter()
                    .map(|lease| Probe { owner: lease.owner.0.to_string(), expires_at: timestamp(lease.expires) })
                    .collect();
            }
            State::Closed { .. } | State::ForcedOpen | State::ForcedClosed { .. } | State::MetricsOnly { .. } => {}
        }
        Self {
            from: way.from.to_string(),
            to: way.to.to_string(),
            target: way.target.clone(),
            state: state.name().as_str().to_owned(),
            since: (*version > 0).then(|| timestamp(*since)),
            reason: reason.as_str().to_owned(),
            // A router of an earlier release leaves the note of the state before.
            note: note.as_deref().filter(|_| *reason == Reason::Operator).map(str::to_owned),
            episode: *episode,
            open_until,
            doubled,
            good_probes,
            probes,
            waiting,
            parked_ever: *parks,
            version: *version,
        }
    }

    /// The breaker for people, line by line, at a moment.
    pub(super) fn render(&self, at: Timestamp) -> Vec<String> {
        let mut lines = vec![format!("{} -> {} (`{}`)", self.from, self.to, self.target)];
        let mut line = |name: &str, text: String| lines.push(format!("  {name:<12}{text}"));
        line("state", self.state.clone());
        match self.since {
            None => line("since", "ever, for nothing has happened on this way".to_owned()),
            Some(since) => line("since", format!("{since:.0}, for {}", between(since, at))),
        }
        line("reason", self.reason.clone());
        if let Some(note) = &self.note {
            line("said", format!("\"{note}\""));
        }
        if let Some(until) = self.open_until {
            let left = if until > at { format!(", in {}", between(at, until)) } else { ", which is over".to_owned() };
            line("open until", format!("{until:.0}{left}"));
        }
        if let Some(doubled) = self.doubled.filter(|doubled| *doubled > 0) {
            line("open time", format!("doubled {} in this episode", times(doubled)));
        }
        if let Some(good) = self.good_probes {
            line("probes", format!("{} running, {good} went well", self.probes.len()));
        }
        for probe in &self.probes {
            let over = if probe.expires_at <= at { ", which is over" } else { "" };
            line("", format!("{} until {:.0}{over}", probe.owner, probe.expires_at));
        }
        line("waiting", self.waiting.render(at));
        if let Some(problem) = &self.waiting.problem {
            line("", format!("not counted now: {problem}"));
        }
        line(
            "parked",
            format!(
                "{} since the record exists",
                counted(usize::try_from(self.parked_ever).unwrap_or(usize::MAX), "event")
            ),
        );
        line("record", format!("version {}, episode {}", self.version, self.episode));
        lines
    }
}

impl Survey {
    /// The breakers for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let blocks: Vec<Vec<String>> = self.breakers.iter().map(|breaker| breaker.render(self.at)).collect();
        blocks.join(&String::new())
    }
}

impl Commanded {
    /// What was done, for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let Self { before, after, at, .. } = self;
        let way = format!("{} -> {}", after.from, after.to);
        if !self.changed {
            let mut lines = vec![format!("nothing to change: `{}` is what {way} does already", self.command)];
            lines.extend(after.render(*at));
            return lines;
        }
        let mut lines = vec![format!("{way}: `{}` was `{}`", after.state, before.state), "before:".to_owned()];
        lines.extend(before.render(*at));
        lines.push("after:".to_owned());
        lines.extend(after.render(*at));
        lines
    }
}

/// The command as it is typed.
pub(super) fn name_of(command: Command) -> &'static str {
    match command {
        Command::ForceOpen => "force-open",
        Command::ForceClosed => "force-closed",
        Command::MetricsOnly => "metrics-only",
        Command::Release => "release",
    }
}

/// The beginning of the question before a command.
pub(super) fn question(command: Command) -> &'static str {
    match command {
        Command::ForceOpen => "force open the breaker",
        Command::ForceClosed => "force closed the breaker",
        Command::MetricsOnly => "only measure at the breaker",
        Command::Release => "release the breaker",
    }
}

/// What is different after the command.
pub(super) fn consequence(command: Command, seen: &Shared, way: &Way) -> String {
    let Way { from, to, .. } = way;
    match (command, &seen.state) {
        (Command::ForceOpen, _) => format!(
            "events for {to} are parked in {from}, none is sent and nothing is probed until `release`; when the lot is full or \
             its oldest event too old, {from}'s streams hold what comes"
        ),
        (Command::ForceClosed, _) => format!(
            "events are sent to {to} whatever fails, what waits is drained, and an event that fails holds up its stream until \
             `release`"
        ),
        (Command::MetricsOnly, _) => format!(
            "as `force-closed`: events are sent to {to} whatever fails, and an event that fails holds up its stream until \
             `release`; when the breaker would have opened stands in the router's log"
        ),
        (Command::Release, State::ForcedOpen) => {
            format!(
                "the breaker is open, probes {to} with an event that waits, and closes when enough probes went well"
            )
        }
        (Command::Release, _) => format!("the breaker is closed, and opens by itself when {to} fails"),
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> String {
    let millis = later.as_millisecond().saturating_sub(earlier.as_millisecond());
    elapsed_text(std::time::Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
}

fn times(count: u32) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "time")
}
