//! What the live table and the lines of a log say of a deployment that was heard.

use super::*;
use crate::deploy::story::{Hands, Story, Told, Twists, after, production};

/// A history in which every stack was created before.
fn history(stacks: &[Stack]) -> History {
    let folder = tempfile::tempdir().unwrap();
    let path = History::file(folder.path());
    let durations: BTreeMap<String, Vec<u32>> = stacks
        .iter()
        .map(|stack| (format!("stack {} create", stack.key), vec![90]))
        .chain([("step verification".to_owned(), vec![5])])
        .collect();
    std::fs::write(&path, serde_json::json!({"version": 1, "durations": durations}).to_string()).unwrap();
    History::read(&path).unwrap()
}

fn expectation(stacks: &[Stack], unchanged: &[&str], history: &History) -> Expectation {
    let entries = stacks.iter().map(|stack| {
        let is_unchanged = unchanged.contains(&stack.key.name.as_str());
        let create = Action::Create { changes: super::super::changes::Changes::default(), leftover: None };
        let action = if is_unchanged { Action::Unchanged } else { create };
        super::super::plan::Entry { stack: stack.clone(), action }
    });
    let planned = Planned { entries: entries.collect(), code_keys: BTreeMap::new(), outputs: BTreeMap::new() };
    Expectation::of(&planned, history, &[StepKind::Verification])
}

/// What is shown, a line each, with the second in which it is; and on a terminal the table at the given seconds.
fn shown(is_terminal: bool, twists: &Twists, with_history: bool, tables_at: &[i64]) -> String {
    let stacks: Vec<Stack> = production()
        .into_iter()
        .filter(|stack| ["access", "delivery", "keys", "data"].contains(&stack.key.name.as_str()))
        .collect();
    let past = if with_history { history(&stacks) } else { History::default() };
    let hands = Hands::new();
    let mut model = Model::new(is_terminal, hands.clock()(), expectation(&stacks, &twists.unchanged, &past));
    let story = Story::of(stacks, 0, twists);
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut lines = Vec::new();
    let mut tables = tables_at.iter().copied().peekable();
    for (millis, position, told) in &story.told {
        while let Some(secs) = tables.next_if(|secs| secs * 1_000 < *millis) {
            lines.push(format!("-- after {secs} s"));
            lines.extend(rows.iter().map(|(row, text)| format!("{row}  {text}")));
            lines.push(model.footer(after(secs * 1_000)));
        }
        let (stack, now) = (&story.stacks[*position], after(*millis));
        let said = match told {
            Told::Began => model.began(&stack.key, now),
            Told::Phase(text) => model.phase(stack, text),
            Told::Event(event) => model.event(stack, event),
            Told::Ended(outcome) => model.ended(&stack.key, outcome.is_ok(), now),
        };
        let secs = millis / 1_000;
        match said {
            None => {}
            Some(Say::Row(row, text)) if is_terminal => match rows.iter_mut().find(|(known, _)| *known == row) {
                Some((_, known)) => *known = text,
                None => rows.push((row, text)),
            },
            Some(Say::Row(row, text) | Say::Line(row, text)) => lines.push(format!("{secs:>4} [{row}] {text}")),
            Some(Say::Alarm(row, text)) => lines.push(format!("{secs:>4} ! [{row}] {text}")),
        }
    }
    lines.push(format!("at the end: {}", model.footer(after(story.end()))));
    lines.join("\n")
}

#[test]
fn on_a_terminal() {
    let twists = Twists { unchanged: vec!["access"], ..Twists::default() };
    insta::assert_snapshot!(shown(true, &twists, true, &[1, 12, 40, 75, 100, 130, 200]));
}

#[test]
fn in_a_log() {
    let twists = Twists { unchanged: vec!["access"], ..Twists::default() };
    insta::assert_snapshot!(shown(false, &twists, true, &[]));
}

#[test]
fn a_failure_in_a_log_without_a_past() {
    let twists = Twists {
        unchanged: vec!["access", "delivery"],
        failing: vec![(StackKey::new("data", "us-west-2"), "Orders", "Table already exists: orders")],
        ..Twists::default()
    };
    insta::assert_snapshot!(shown(false, &twists, false, &[]));
}

#[test]
fn nothing_is_said_of_how_far_it_is_when_there_is_nothing_to_do() {
    let twists = Twists { unchanged: vec!["access", "delivery", "keys", "data"], ..Twists::default() };
    assert_eq!(shown(true, &twists, true, &[]), "at the end: ");
}
