//! Names and values where they could be taken for something else.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that a terminal or a reader can't see, or that turns the reading direction, written out.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len());
    for char in text.chars() {
        if is_unseen(char) {
            let _ = write!(seen, "\\u{{{:x}}}", u32::from(char));
        } else {
            seen.push(char);
        }
    }
    Cow::Owned(seen)
}

/// A sentence as HTML that Markdown leaves alone: what stands between backticks is code, and nothing else is markup.
pub(crate) fn html(sentence: &str) -> String {
    let mut html = String::with_capacity(sentence.len() * 2);
    let is_balanced = sentence.matches('`').count().is_multiple_of(2);
    if !is_balanced {
        entities(sentence, &mut html);
        return html;
    }
    for (index, part) in sentence.split('`').enumerate() {
        if index % 2 == 0 {
            entities(part, &mut html);
        } else {
            html.push_str("<code>");
            entities(part, &mut html);
            html.push_str("</code>");
        }
    }
    html
}

/// Signs that mean something to Markdown, HTML or GitHub as entities. Within code GitHub links no mention and no issue.
fn entities(text: &str, html: &mut String) {
    let visible = visible(text);
    let mut before = ' ';
    let mut chars = visible.chars().peekable();
    while let Some(char) = chars.next() {
        let is_markup = match char {
            '!' | '#' | '$' | '&' | '*' | '<' | '>' | '@' | '[' | '\\' | ']' | '_' | '`' | '|' | '~' => true,
            // `www.` and `http://` would become links.
            '.' => before.eq_ignore_ascii_case(&'w'),
            ':' => chars.peek() == Some(&'/'),
            _ => false,
        };
        if is_markup {
            let _ = write!(html, "&#{};", u32::from(char));
        } else {
            html.push(char);
        }
        before = char;
    }
}

/// Control characters, marks of direction, and what has no width.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_name_is_markup() {
        for (text, expected) in [
            ("`<script>`", "<code>&#60;script&#62;</code>"),
            ("`a|b`", "<code>a&#124;b</code>"),
            ("`@team #12`", "<code>&#64;team &#35;12</code>"),
            ("`**x**_y_`", "<code>&#42;&#42;x&#42;&#42;&#95;y&#95;</code>"),
            ("a`b", "a&#96;b"),
            ("&amp;", "&#38;amp;"),
            ("`http://www.x.y`", "<code>http&#58;//www&#46;x.y</code>"),
            ("`\u{1b}[31m`", "<code>&#92;u{1b}&#91;31m</code>"),
        ] {
            assert_eq!(html(text), expected);
        }
    }

    #[test]
    fn what_cant_be_seen_is_written_out() {
        assert_eq!(visible("a\u{202e}b\u{7f}\n"), "a\\u{202e}b\\u{7f}\\u{a}");
        assert_eq!(visible("grüße"), "grüße");
    }
}
