//! What to do about messages of CloudFormation and the services behind it that are known well.
//!
//! One table; the first row of which a text is found in the message, whatever its case, gives the hint. `messages.txt` has for
//! each text of each row a message as the service writes it.

mod table;

use table::ROWS;

/// A message that is known, and what to do about it.
struct Row {
    /// What the row is called in the tests' messages.
    #[cfg_attr(not(test), expect(dead_code, reason = "names tell the tests' messages apart"))]
    name: &'static str,
    /// Parts of the message in lower case, any of which is enough; `…` stands for any text in between.
    texts: &'static [&'static str],
    hint: &'static str,
}

/// The hint for a service's message, if the message is known.
pub(crate) fn hint_for(message: &str) -> Option<&'static str> {
    row_of(message).map(|row| row.hint)
}

fn row_of(message: &str) -> Option<&'static Row> {
    let message = message.to_lowercase();
    ROWS.iter().find(|row| row.texts.iter().any(|text| is_in(&message, text)))
}

/// Whether the parts of `text` stand in the message, one after the other.
fn is_in(message: &str, text: &str) -> bool {
    let mut rest = message;
    text.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Row and message, a line each.
    const MESSAGES: &str = include_str!("hints/messages.txt");

    fn messages() -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = MESSAGES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("`<row>: <message>` and not {line}")))
    }

    #[test]
    fn each_message_reaches_its_row_and_none_before() {
        for (name, message) in messages() {
            let found = row_of(message).map_or("no row", |row| row.name);
            assert_eq!(found, name, "{message}");
        }
    }

    /// A text that no message has would be a guess.
    #[test]
    fn each_text_of_each_row_stands_in_a_message() {
        for row in ROWS {
            for text in row.texts {
                let is_real =
                    messages().any(|(name, message)| name == row.name && is_in(&message.to_lowercase(), text));
                assert!(is_real, "no message of `{}` has `{text}`", row.name);
            }
        }
        let known: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert!(messages().all(|(name, _)| known.contains(name)));
        assert_eq!(known.len(), ROWS.len(), "each row has a name of its own");
        assert!(ROWS.len() >= 30);
    }

    #[test]
    fn rows_are_written_alike() {
        for Row { name, texts, hint } in ROWS {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(texts.iter().all(|text| *text == text.to_lowercase()), "{name}: texts are matched in lower case");
            assert!(!hint.ends_with('.'), "{name}: {hint}");
            assert_eq!(hint.matches('`').count() % 2, 0, "{name}: {hint}");
        }
    }

    #[test]
    fn messages_are_whole() {
        for (name, message) in messages() {
            assert!(!message.contains("...") && message.len() > 13, "{name}: {message}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_nobody_has_seen() {
        for unknown in ["something nobody has seen", "", "no reason given", "Resource creation Initiated"] {
            assert_eq!(hint_for(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn parts_stand_one_after_the_other() {
        assert!(is_in("export a cannot be deleted", "export…cannot be deleted"));
        assert!(!is_in("cannot be deleted: export", "export…cannot be deleted"));
    }
}
