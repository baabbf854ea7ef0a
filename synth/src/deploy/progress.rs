//! Shows a running deployment: one live table on a terminal, plain prefixed lines elsewhere.
//!
//! What is shown is decided by [`Model`], from what is heard and when; [`Board`] only has the clock and the screen.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::apply::{Done, Progress, StackError};
use super::cloud::Event;
use super::estimate::{Node, NodeState, left};
use super::failure::is_real_failure;
use super::history::{History, StackWork};
use super::plan::{Action, Planned};
use super::system::{Stack, StackKey};
use super::timeline::record::{StepKind, between};
use crate::ui::{Live, Style, Ui, elapsed_text};

#[cfg(test)]
mod tests;

/// How often the time in the live table goes on while nothing else happens.
const TICK: Duration = Duration::from_secs(1);

/// The live table: one row a stack, with how many of its resources are through.
pub(crate) struct Board<'ui> {
    ui: &'ui Ui,
    live: Live<'ui>,
    model: RefCell<Model>,
}

impl<'ui> Board<'ui> {
    /// A table of work about which nothing is known before.
    pub(crate) fn new(ui: &'ui Ui) -> Self {
        Self::expecting(ui, Expectation::default())
    }

    /// A table that also says how far the whole is, and how long it still takes.
    pub(crate) fn expecting(ui: &'ui Ui, expectation: Expectation) -> Self {
        let model = Model::new(ui.is_terminal(), Timestamp::now(), expectation);
        Self { ui, live: ui.live(), model: RefCell::new(model) }
    }

    /// Does `work`, and lets the time in the table go on meanwhile.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(TICK) => {
                    self.live.footer(&self.model.borrow().footer(Timestamp::now()));
                    self.live.redraw();
                }
            }
        }
    }

    fn hear(&self, tell: impl FnOnce(&mut Model, Timestamp) -> Option<Say>) {
        let now = Timestamp::now();
        let said = tell(&mut self.model.borrow_mut(), now);
        self.live.footer(&self.model.borrow().footer(now));
        match said {
            None => {}
            Some(Say::Row(row, text)) => self.live.row(&row, &text),
            Some(Say::Line(row, text)) => self.ui.prefixed(&row, &text),
            Some(Say::Alarm(row, text)) => self.ui.alarm(&row, &self.ui.paint(Style::Bad, &text)),
        }
    }
}

impl Progress for Board<'_> {
    fn phase(&self, stack: &Stack, text: &str) {
        self.hear(|model, _| model.phase(stack, text));
    }

    fn warning(&self, stack: &Stack, text: &str) {
        self.ui.warning(&format!("{}: {text}", stack.key));
    }

    fn event(&self, stack: &Stack, event: &Event) {
        self.hear(|model, _| model.event(stack, event));
    }

    fn began(&self, stack: &Stack) {
        self.hear(|model, now| model.began(&stack.key, now));
    }

    fn ended(&self, stack: &Stack, outcome: &Result<Done, StackError>) {
        self.hear(|model, now| model.ended(&stack.key, outcome.is_ok(), now));
    }
}

/// Tells two.
pub(crate) struct Both<'a>(pub(crate) &'a dyn Progress, pub(crate) &'a dyn Progress);

impl Progress for Both<'_> {
    fn phase(&self, stack: &Stack, text: &str) {
        self.0.phase(stack, text);
        self.1.phase(stack, text);
    }

    fn event(&self, stack: &Stack, event: &Event) {
        self.0.event(stack, event);
        self.1.event(stack, event);
    }

    fn warning(&self, stack: &Stack, text: &str) {
        self.0.warning(stack, text);
        self.1.warning(stack, text);
    }

    fn began(&self, stack: &Stack) {
        self.0.began(stack);
        self.1.began(stack);
    }

    fn ended(&self, stack: &Stack, outcome: &Result<Done, StackError>) {
        self.0.ended(stack, outcome);
        self.1.ended(stack, outcome);
    }
}

/// What is to be done, and how long it takes as a rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectation {
    keys: Vec<StackKey>,
    nodes: Vec<Node>,
    /// How long what follows the stacks takes.
    after: Option<Duration>,
}

impl Expectation {
    /// What a plan says, and past deployments. Stacks that are left alone take no time.
    pub(crate) fn of(planned: &Planned, history: &History, after: &[StepKind]) -> Self {
        let keys: Vec<StackKey> = planned.entries.iter().map(|entry| entry.stack.key.clone()).collect();
        let nodes = planned.entries.iter().map(|entry| {
            let needed = entry.stack.depends_on.iter();
            let needs = needed.filter_map(|needed| keys.iter().position(|key| key == needed)).collect();
            let (expected, state) = match &entry.action {
                Action::Unchanged => (Some(Duration::ZERO), NodeState::Done),
                Action::Protect => (Some(Duration::ZERO), NodeState::Waiting),
                Action::Create { .. } => (history.expected(&entry.stack.key, StackWork::Create), NodeState::Waiting),
                _ => (history.expected(&entry.stack.key, StackWork::Update), NodeState::Waiting),
            };
            Node { needs, expected, state }
        });
        let after = after.iter().filter_map(|step| history.expected_step(*step)).reduce(|sum, step| sum + step);
        Self { nodes: nodes.collect(), keys, after }
    }
}

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// The row of this name has a new text.
    Row(String, String),
    /// A line that stays.
    Line(String, String),
    /// A line that stays, also when nothing but errors is asked for.
    Alarm(String, String),
}

/// What there is to show.
pub(crate) struct Model {
    is_terminal: bool,
    started_at: Timestamp,
    expectation: Expectation,
    /// When what runs has begun, by position.
    began_at: BTreeMap<usize, Timestamp>,
    /// Positions of what there is to do: how far all of it is, is told of these.
    changing: BTreeSet<usize>,
    /// Resources that are through.
    finished: BTreeMap<StackKey, BTreeSet<String>>,
    has_row: BTreeSet<StackKey>,
}

impl Model {
    pub(crate) fn new(is_terminal: bool, started_at: Timestamp, expectation: Expectation) -> Self {
        let nodes = expectation.nodes.iter().enumerate();
        let changing = nodes.filter(|(_, node)| node.state != NodeState::Done).map(|(at, _)| at).collect();
        Self {
            is_terminal,
            started_at,
            expectation,
            began_at: BTreeMap::new(),
            changing,
            finished: BTreeMap::new(),
            has_row: BTreeSet::new(),
        }
    }

    fn row(&mut self, stack: &StackKey, text: String) -> Option<Say> {
        self.has_row.insert(stack.clone());
        Some(Say::Row(stack.to_string(), text))
    }

    pub(crate) fn phase(&mut self, stack: &Stack, text: &str) -> Option<Say> {
        // On a terminal there is little room, and what is left alone is of no interest there.
        if self.is_terminal && text == "unchanged" && !self.has_row.contains(&stack.key) {
            return None;
        }
        self.row(&stack.key, text.to_owned())
    }

    pub(crate) fn event(&mut self, stack: &Stack, event: &Event) -> Option<Say> {
        if is_real_failure(event) {
            let reason = event.reason.as_deref().unwrap_or("no reason given");
            let failure = format!("{} {}: {reason}", event.logical_id, event.status);
            return Some(Say::Alarm(stack.key.to_string(), failure));
        }
        if event.is_of_stack() {
            return None;
        }
        let is_through = event.status.ends_with("_COMPLETE");
        let finished = self.finished.entry(stack.key.clone()).or_default();
        if is_through {
            finished.insert(event.logical_id.clone());
        }
        let all = stack.template.resources().count();
        let text = format!("{}/{all}  {} {}", finished.len().min(all), event.logical_id, event.status);
        // Without a terminal each text becomes a line: only what ended is worth one.
        if self.is_terminal || is_through { self.row(&stack.key, text) } else { None }
    }

    pub(crate) fn began(&mut self, stack: &StackKey, now: Timestamp) -> Option<Say> {
        let at = self.position(stack)?;
        if self.changing.contains(&at) {
            self.began_at.insert(at, now);
        }
        None
    }

    pub(crate) fn ended(&mut self, stack: &StackKey, is_good: bool, now: Timestamp) -> Option<Say> {
        let at = self.position(stack)?;
        self.began_at.remove(&at);
        self.expectation.nodes[at].state = if is_good { NodeState::Done } else { NodeState::Failed };
        if self.is_terminal || !self.changing.contains(&at) {
            return None;
        }
        let elapsed = elapsed_text(between(self.started_at, now));
        let said = [format!("{} after {elapsed}", self.reached())].into_iter().chain(self.time_left(now));
        Some(Say::Line("deployment".to_owned(), said.collect::<Vec<_>>().join(", ")))
    }

    /// How far the whole is; empty when that isn't known.
    pub(crate) fn footer(&self, now: Timestamp) -> String {
        if self.changing.is_empty() {
            return String::new();
        }
        [self.reached()].into_iter().chain(self.time_left(now)).collect::<Vec<_>>().join(", ")
    }

    fn position(&self, stack: &StackKey) -> Option<usize> {
        self.expectation.keys.iter().position(|key| key == stack)
    }

    fn reached(&self) -> String {
        let in_state = |state| self.changing.iter().filter(|at| self.expectation.nodes[**at].state == state).count();
        let failed = in_state(NodeState::Failed);
        let failed = if failed == 0 { String::new() } else { format!(" ({failed} failed)") };
        format!("{} of {} stacks{failed}", in_state(NodeState::Done), self.changing.len())
    }

    fn time_left(&self, now: Timestamp) -> Option<String> {
        let mut nodes = self.expectation.nodes.clone();
        for (at, began_at) in &self.began_at {
            nodes[*at].state = NodeState::Running(between(*began_at, now));
        }
        left(&nodes, self.expectation.after).map(|left| left.says())
    }
}

/// Is told and does nothing.
#[cfg(test)]
pub(crate) struct Nobody;

#[cfg(test)]
impl Progress for Nobody {
    fn phase(&self, _: &Stack, _: &str) {}
    fn event(&self, _: &Stack, _: &Event) {}
    fn warning(&self, _: &Stack, _: &str) {}
    fn began(&self, _: &Stack) {}
    fn ended(&self, _: &Stack, _: &Result<Done, StackError>) {}
}
