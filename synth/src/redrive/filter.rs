//! `--filter KEY=VALUE`: which letters are meant.

use std::fmt;
use std::str::FromStr;

use super::plan::Letter;

/// One condition on a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    field: Field,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ErrorClass,
    Program,
    Source,
    Position,
}

const FIELDS: [(&str, Field); 4] = [
    ("error_class", Field::ErrorClass),
    ("program", Field::Program),
    ("source", Field::Source),
    ("position", Field::Position),
];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("it has no `=`; for example `error_class=malformed_row`")?;
        let field = FIELDS.iter().find(|(name, _)| *name == key).map(|(_, field)| *field);
        let field = field.ok_or_else(|| {
            let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            format!("a letter can't be chosen by `{key}`; there are: {}", names.join(", "))
        })?;
        if value.is_empty() {
            return Err(format!("`{key}` has no value"));
        }
        Ok(Self { field, value: value.to_owned() })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FIELDS.iter().find(|(_, field)| *field == self.field).map_or("", |(name, _)| name);
        write!(f, "{name}={}", self.value)
    }
}

impl Filter {
    fn holds_for(&self, letter: &Letter) -> bool {
        match self.field {
            Field::ErrorClass => letter.error_class == self.value,
            Field::Program => letter.program == self.value,
            Field::Source => letter.source == self.value,
            Field::Position => letter.position.starts_with(&self.value),
        }
    }
}

/// Whether a letter is meant: of the values for one key one must hold, for each key. What is no letter is never meant when
/// there is a filter, for nothing is known of it.
pub(super) fn is_meant(filters: &[Filter], letter: Option<&Letter>) -> bool {
    let Some(letter) = letter else { return filters.is_empty() };
    filters.iter().all(|one| filters.iter().any(|other| other.field == one.field && other.holds_for(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redrive::tests::letter;

    fn check(filters: &[&str], meant: bool) {
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().expect("a filter")).collect();
        let letter = Letter::of("m-1", &letter("stream-processor", "arn:stream", "1234", "{}"));
        assert_eq!(is_meant(&filters, Some(&letter)), meant, "{filters:?}");
    }

    #[test]
    fn all_keys_must_hold_and_one_value_of_each() {
        check(&[], true);
        check(&["error_class=malformed_row"], true);
        check(&["error_class=malformed"], false);
        check(&["position=12"], true);
        check(&["position=234"], false);
        check(&["source=arn:stream", "program=stream-processor"], true);
        check(&["source=arn:stream", "program=event-router"], false);
        check(&["error_class=panic", "error_class=malformed_row"], true);
        check(&["error_class=panic", "error_class=malformed_row", "position=9"], false);
    }

    #[test]
    fn what_is_no_letter_is_meant_only_without_a_filter() {
        assert!(is_meant(&[], None));
        assert!(!is_meant(&["program=x".parse().expect("a filter")], None));
    }

    #[test]
    fn a_mistyped_filter_says_what_there_is() {
        for (text, says) in [
            ("error_class", "has no `=`"),
            ("class=panic", "there are: error_class, program, source, position"),
            ("program=", "has no value"),
        ] {
            let error = text.parse::<Filter>().expect_err(text);
            assert!(error.contains(says), "{error}");
        }
        assert_eq!("source=a=b".parse::<Filter>().expect("a filter").to_string(), "source=a=b");
    }
}
