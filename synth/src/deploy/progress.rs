//! Shows a running deployment: one live table on a terminal, plain prefixed lines elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::apply::Progress;
use super::cloud::Event;
use super::failure::is_real_failure;
use super::system::{Stack, StackKey};
use crate::ui::{Live, Style, Ui};

/// The live table: one row a stack, with how many of its resources are through.
pub(crate) struct Board<'ui> {
    ui: &'ui Ui,
    live: Live<'ui>,
    finished: RefCell<BTreeMap<StackKey, BTreeSet<String>>>,
}

impl<'ui> Board<'ui> {
    pub(crate) fn new(ui: &'ui Ui) -> Self {
        Self { ui, live: ui.live(), finished: RefCell::default() }
    }
}

impl Progress for Board<'_> {
    fn phase(&self, stack: &Stack, text: &str) {
        self.live.row(&stack.key.to_string(), text);
    }

    fn warning(&self, stack: &Stack, text: &str) {
        self.ui.warning(&format!("{}: {text}", stack.key));
    }

    fn event(&self, stack: &Stack, event: &Event) {
        let row = stack.key.to_string();
        if is_real_failure(event) {
            let reason = event.reason.as_deref().unwrap_or("no reason given");
            let failure = format!("{} {}: {reason}", event.logical_id, event.status);
            self.ui.prefixed(&row, &self.ui.paint(Style::Bad, &failure));
            return;
        }
        if event.is_of_stack() {
            return;
        }
        let mut finished = self.finished.borrow_mut();
        let finished = finished.entry(stack.key.clone()).or_default();
        if event.status.ends_with("_COMPLETE") {
            finished.insert(event.logical_id.clone());
        }
        let all = stack.template.resources().count();
        let text = format!("{}/{all}  {} {}", finished.len().min(all), event.logical_id, event.status);
        // Without a terminal each text becomes a line: only what ended is worth one.
        if self.ui.is_terminal() || event.status.ends_with("_COMPLETE") {
            self.live.row(&row, &text);
        }
    }
}
