//! E-mail addresses (RFC 5321, RFC 6531): the form that mail systems agree about, and no more.
//!
//! Quoted local parts, comments and address literals are refused. The local part's letters keep their case unless a rule says
//! otherwise, because only the receiving system knows whether it matters. Whether the address exists isn't asked.

use super::{Mistake, composed};
use events::raw::ViolationCode;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use regex::Regex;
use std::sync::LazyLock;

/// Most bytes of an address (RFC 5321, with the erratum on the path's angle brackets).
const MAX_BYTES: usize = 254;
/// Most bytes before the `@` (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;
/// Most bytes of an address that is looked at at all: as many characters as an address may have, each of three parts of the
/// longest kind. More is made of characters that composing and converting drop.
const MAX_UNCONVERTED_BYTES: usize = 3 * 4 * MAX_BYTES;

/// What becomes of the letters before the `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalPart {
    /// They keep their case.
    AsItCame,
    /// They become lower case: for those who know that their users mean the same address by both.
    LowerCase,
}

/// The address in Unicode's composed form, with its domain as lower-case A-labels.
pub(super) fn normalise(text: &str, letters: LocalPart) -> Result<String, Mistake> {
    if text.len() > MAX_UNCONVERTED_BYTES {
        return Err(all_too_long());
    }
    let text = match letters {
        LocalPart::AsItCame => composed(text),
        // What is lowered may be composed again.
        LocalPart::LowerCase => composed(&composed(text).to_lowercase()),
    };
    let (local, domain) = text.split_once('@').ok_or_else(|| not_email("expected one `@`"))?;
    if domain.contains('@') {
        return Err(not_email("expected one `@`"));
    }
    if local.len() > MAX_LOCAL_BYTES {
        return Err(too_long(format!("expected at most {MAX_LOCAL_BYTES} bytes before the `@`")));
    }
    if local.is_empty() || local.split('.').any(|atom| atom.is_empty() || !atom.chars().all(is_atom_character)) {
        return Err(not_email("expected letters, digits, `!#$%&'*+-/=?^_`{|}~` and single dots before the `@`"));
    }
    let domain = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .map_err(|_| not_email("expected a domain name after the `@`"))?;
    let last_label = domain.rsplit_once('.').map(|(_, label)| label);
    if last_label.is_none_or(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(not_email("expected a domain name of two labels or more after the `@`"));
    }
    let address = format!("{local}@{domain}");
    if address.len() > MAX_BYTES { Err(all_too_long()) } else { Ok(address) }
}

/// RFC 5322's `atext`, and the characters beyond ASCII that RFC 6531 adds, but for those that nobody sees or knows: two
/// addresses that look the same would differ by them, and what an unassigned one will be isn't known.
fn is_atom_character(character: char) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if character.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(character),
        _ => !character.is_whitespace() && !UNSEEN.is_match(character.encode_utf8(&mut [0; 4])),
    }
}

/// Unicode's category "other": controls, format characters, private use, unassigned.
static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\p{Other}").expect("invariant: the pattern is right, as every test of this file shows")
});

fn all_too_long() -> Mistake {
    too_long(format!("expected at most {MAX_BYTES} bytes, with the domain in ASCII"))
}

fn not_email(message: &str) -> Mistake {
    Mistake::new(ViolationCode::NotEmail, message)
}

fn too_long(message: String) -> Mistake {
    Mistake::new(ViolationCode::TooLong, message)
}

#[cfg(test)]
mod tests {
    use super::LocalPart::{AsItCame, LowerCase};
    use super::*;
    use proptest::prelude::*;

    fn normalise(text: &str) -> Result<String, Mistake> {
        super::normalise(text, AsItCame)
    }

    #[test]
    fn domains_are_lowered_and_local_parts_are_left_alone() {
        for (text, expected) in [
            ("Ada.Lovelace+tag@Example.COM", "Ada.Lovelace+tag@example.com"),
            ("a@b.co", "a@b.co"),
            ("info@Bücher.example", "info@xn--bcher-kva.example"),
            ("info@xn--bcher-kva.example", "info@xn--bcher-kva.example"),
            // The same domain with its umlaut as two characters.
            ("info@bu\u{308}cher.example", "info@xn--bcher-kva.example"),
            ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
            // The same local part with its letters as two characters, and a letter that looks like another.
            ("zoe\u{308}@mail.example", "zo\u{eb}@mail.example"),
            ("\u{212a}ay@mail.example", "Kay@mail.example"),
            ("o'brien/x=y@mail.example", "o'brien/x=y@mail.example"),
        ] {
            assert_eq!(normalise(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn letters_are_lowered_where_a_rule_says_so() {
        for (text, expected) in [
            ("Ada.Lovelace+Tag@Example.COM", "ada.lovelace+tag@example.com"),
            ("ZOE\u{308}@mail.example", "zo\u{eb}@mail.example"),
            ("ada@mail.example", "ada@mail.example"),
        ] {
            assert_eq!(super::normalise(text, LowerCase).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b@example.com",
            "\"a\"@example.com",
            "\"a@b\"@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a b@example.com",
            "a\u{a0}b@example.com",
            "a(comment)@example.com",
            "a\u{85}b@example.com",
            "a\u{200b}b@example.com",
            "\u{202e}a@example.com",
            "a\u{ad}b@example.com",
            "a\u{e000}b@example.com",
            "a\u{378}b@example.com",
            "a\u{10ffff}b@example.com",
            "a@localhost",
            "a@example.com.",
            "a@-example.com",
            "a@exa_mple.com",
            "a@exa mple.com",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "a@xn--a.example",
            " a@example.com",
            "a@example.com\n",
        ] {
            assert_eq!(normalise(text).map_err(|mistake| mistake.code), Err(ViolationCode::NotEmail), "{text:?}");
        }
    }

    #[test]
    fn lengths_are_limited() {
        let of = |local: usize, labels: &[usize]| {
            let labels: Vec<String> = labels.iter().map(|length| "d".repeat(*length)).collect();
            normalise(&format!("{}@{}", "l".repeat(local), labels.join("."))).map(|text| text.len())
        };
        assert_eq!(of(64, &[63, 63, 61]), Ok(254));
        let code = |result: Result<usize, Mistake>| result.expect_err("refused").code;
        assert_eq!(code(of(64, &[63, 63, 62])), ViolationCode::TooLong);
        assert_eq!(code(of(65, &[7, 3])), ViolationCode::TooLong);
        assert_eq!(code(of(1, &[64, 3])), ViolationCode::NotEmail, "a label has at most 63 bytes");
        assert_eq!(code(of(1, &[4_000])), ViolationCode::TooLong);
        // Bytes and not characters: 22 of three bytes each.
        assert_eq!(normalise(&format!("{}@b.co", "用".repeat(22))).expect_err("refused").code, ViolationCode::TooLong);
        // Short as it came, long in ASCII.
        let long = format!("{}@{}.example", "l".repeat(64), vec!["ü".repeat(40); 4].join("."));
        assert_eq!(normalise(&long).expect_err("refused").code, ViolationCode::TooLong);
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "[a-zA-Z.+ü]{1,10}@[a-zA-ZüßÅ例.-]{1,12}\\.[a-zA-Zé]{2,4}|.{0,20}@.{0,20}") {
            if let Ok(normal) = normalise(&text) {
                prop_assert_eq!(normalise(&normal), Ok(normal.clone()));
                let local = text.split('@').next().map(composed);
                prop_assert_eq!(normal.split('@').next(), local.as_deref());
            }
        }

        #[test]
        fn a_lowered_form_is_its_own(text in "[a-zA-Z.+üÜİΣßẞ\u{307}\u{345}ǅ]{1,10}@[a-zA-Züß.-]{1,12}\\.[a-zA-Zé]{2,4}|.{0,20}@.{0,20}") {
            if let Ok(normal) = super::normalise(&text, LowerCase) {
                prop_assert_eq!(super::normalise(&normal, LowerCase), Ok(normal.clone()));
                prop_assert!(!normal.bytes().any(|byte| byte.is_ascii_uppercase()), "{}", normal);
            }
        }
    }
}
