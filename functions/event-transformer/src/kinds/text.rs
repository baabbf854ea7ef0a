//! Texts: their length, their form and the words that are allowed.

use super::Mistake;
use events::raw::ViolationCode;
use icu_normalizer::ComposingNormalizerBorrowed;
use regex::Regex;

/// What is asked of a text.
#[derive(Clone, Debug)]
pub(crate) struct TextRule {
    /// In characters of the normal form.
    pub(crate) min_length: usize,
    /// In characters of the normal form. It also bounds what a pattern has to look at.
    pub(crate) max_length: usize,
    /// Empty when any text is allowed. In normal form.
    pub(crate) allowed: Vec<String>,
    /// What the whole text must be.
    pub(crate) pattern: Option<Pattern>,
}

/// A regular expression for a whole text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern to at most 256 KiB.
    ///
    /// # Errors
    /// When it is no regular expression, or too large.
    pub(crate) fn new(text: &str) -> Result<Self, regex::Error> {
        let whole = format!(r"\A(?:{text})\z");
        let regex = regex::RegexBuilder::new(&whole).size_limit(256 * 1024).build()?;
        // By itself it must be one too: an unbalanced `)` would otherwise get out of the brackets.
        regex::RegexBuilder::new(text).size_limit(256 * 1024).build()?;
        Ok(Self { text: text.to_owned(), regex })
    }
}

impl TextRule {
    /// The text in Unicode's composed form.
    ///
    /// # Errors
    /// Everything that is wrong with it. The form isn't looked at when the text is too long.
    pub(super) fn normalise(&self, text: &str) -> Result<String, Vec<Mistake>> {
        let normal = composed(text);
        let length = normal.chars().count();
        if length > self.max_length {
            let message = format!("expected at most {} characters", self.max_length);
            return Err(vec![Mistake::new(ViolationCode::TooLong, message)]);
        }
        let mut mistakes = Vec::new();
        if length < self.min_length {
            let message = format!("expected at least {} characters", self.min_length);
            mistakes.push(Mistake::new(ViolationCode::TooShort, message));
        }
        if !self.allowed.is_empty() && !self.allowed.contains(&normal) {
            let message = format!("expected one of `{}`", self.allowed.join("`, `"));
            mistakes.push(Mistake::new(ViolationCode::NotAllowed, message));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(&normal)) {
            let message = format!("expected a text of the form `{}`", pattern.text);
            mistakes.push(Mistake::new(ViolationCode::WrongForm, message));
        }
        if mistakes.is_empty() { Ok(normal) } else { Err(mistakes) }
    }
}

/// Unicode's normal form NFC.
pub(crate) fn composed(text: &str) -> String {
    const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
    NFC.normalize(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule() -> TextRule {
        TextRule { min_length: 0, max_length: 1024, allowed: Vec::new(), pattern: None }
    }

    fn codes(rule: &TextRule, text: &str) -> Vec<ViolationCode> {
        rule.normalise(text).err().into_iter().flatten().map(|mistake| mistake.code).collect()
    }

    #[test]
    fn lengths_are_counted_in_composed_characters() {
        let rule = TextRule { min_length: 2, max_length: 3, ..rule() };
        assert_eq!(codes(&rule, "a"), [ViolationCode::TooShort]);
        assert_eq!(codes(&rule, "abc"), []);
        assert_eq!(codes(&rule, "abcd"), [ViolationCode::TooLong]);
        assert_eq!(rule.normalise("e\u{301}e\u{301}e\u{301}"), Ok("ééé".to_owned()));
        assert_eq!(codes(&rule, "e\u{301}"), [ViolationCode::TooShort]);
    }

    #[test]
    fn patterns_are_for_the_whole_text() {
        let with = |text: &str| TextRule { pattern: Some(Pattern::new(text).expect("a pattern")), ..rule() };
        assert_eq!(codes(&with("[A-Z]{3}"), "EUR"), []);
        for bad in ["EURO", "eur", "EUR\n", "\nEUR", ""] {
            assert_eq!(codes(&with("[A-Z]{3}"), bad), [ViolationCode::WrongForm], "{bad:?}");
        }
        assert_eq!(codes(&with("a|b"), "ab"), [ViolationCode::WrongForm], "both sides of `|` are bound");
        assert_eq!(codes(&with("(?m)^a$"), "a\na"), [ViolationCode::WrongForm]);
        // A pattern that takes exponential time elsewhere.
        assert_eq!(codes(&with("(a+)+b"), &"a".repeat(1_000)), [ViolationCode::WrongForm]);
    }

    #[test]
    fn patterns_that_are_none_are_refused() {
        for bad in ["(", "a)|(b", "[a", r"\1", "(?=a)", "((a{1000}){1000}){1000}"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_mistakes_are_told() {
        let pattern = Some(Pattern::new("[a-z]+").expect("a pattern"));
        let rule = TextRule { min_length: 3, allowed: vec!["web".to_owned(), "app".to_owned()], pattern, ..rule() };
        assert_eq!(codes(&rule, "web"), []);
        assert_eq!(codes(&rule, "W"), [ViolationCode::TooShort, ViolationCode::NotAllowed, ViolationCode::WrongForm]);
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "[a-zé\u{300}-\u{310}각\u{1100}-\u{1112}\u{1161}-\u{1175}]{0,12}|.{0,12}") {
            let normal = composed(&text);
            prop_assert_eq!(composed(&normal), normal);
        }
    }
}
