//! Texts with wildcards, and which of them contain which.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::pieces::{Piece, Resolve, SubPart, pieces, sub_parts};

/// A text with `*` and `?`, in which a value that isn't known here is one sign that equals only itself.
///
/// Shared, because a statement's every action goes with its every resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern(Rc<[Token]>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Char(char),
    /// `?`: any one character.
    One,
    /// `*`: any characters, or none.
    Any,
    /// What only CloudFormation knows.
    Unknown(String),
}

impl Pattern {
    /// A value of a template; wildcards count.
    pub(crate) fn of(value: &Value, resolve: Resolve<'_>) -> Self {
        Self(tokens(value, resolve, true).into())
    }

    /// A value of a template in which `*` is a star.
    pub(crate) fn literal(value: &Value, resolve: Resolve<'_>) -> Self {
        Self(tokens(value, resolve, false).into())
    }

    pub(crate) fn text(text: &str) -> Self {
        Self(text.chars().map(wildcard).collect())
    }

    /// Something that has a name and no text.
    pub(crate) fn unknown(name: &str) -> Self {
        Self(Rc::new([Token::Unknown(name.to_owned())]))
    }

    /// `prefix` before all of it.
    pub(crate) fn after(&self, prefix: &str) -> Self {
        Self(prefix.chars().map(Token::Char).chain(self.0.iter().cloned()).collect())
    }

    /// In lower case, for what is compared so.
    fn lower(&self) -> Self {
        let lower = |token: &Token| match token {
            Token::Char(char) => Token::Char(char.to_ascii_lowercase()),
            other => other.clone(),
        };
        Self(self.0.iter().map(lower).collect())
    }

    /// Whether it is everything.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|token| *token == Token::Any)
    }

    /// Whether it stands for more than one text.
    pub(crate) fn has_wildcard(&self) -> bool {
        self.0.iter().any(|token| matches!(token, Token::Any | Token::One))
    }

    /// The text, if nothing of it is unknown.
    pub(crate) fn as_text(&self) -> Option<String> {
        (!self.0.iter().any(|token| matches!(token, Token::Unknown(_)))).then(|| self.to_string())
    }

    /// Whether every text of `other` is one of this pattern. `false` also where that can't be shown.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (pattern, text) = (&self.0, &other.0);
        let (mut at, mut next) = (0, 0);
        // Where to go on after the last `*`, and what it has eaten so far.
        let mut retry: Option<(usize, usize)> = None;
        while next < text.len() {
            match pattern.get(at) {
                Some(Token::Any) => {
                    retry = Some((at + 1, next));
                    at += 1;
                }
                Some(token) if token.covers(&text[next]) => {
                    at += 1;
                    next += 1;
                }
                _ => match retry {
                    Some((after, eaten)) => {
                        at = after;
                        next = eaten + 1;
                        retry = Some((after, eaten + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|token| *token == Token::Any)
    }

    /// As [`Self::covers`], for patterns of ARNs: the parts between the first five colons are matched one by one.
    pub(crate) fn covers_arn(&self, other: &Self) -> bool {
        let parts = |pattern: &Self| -> Vec<Self> {
            pattern.0.splitn(6, |token| *token == Token::Char(':')).map(|part| Self(part.into())).collect()
        };
        let (mine, its) = (parts(self), parts(other));
        mine.len() == its.len() && mine.iter().zip(&its).all(|(mine, its)| mine.covers(its))
    }

    /// Whether no text is of both. `false` also where that can't be shown.
    pub(crate) fn is_apart(&self, other: &Self) -> bool {
        let clash = |left: &mut dyn Iterator<Item = &Token>, right: &mut dyn Iterator<Item = &Token>| {
            for (left, right) in left.zip(right) {
                match (left, right) {
                    (Token::Char(left), Token::Char(right)) if left != right => return true,
                    (Token::Char(_) | Token::One, Token::Char(_) | Token::One) => {}
                    _ => return false,
                }
            }
            false
        };
        let is_plain = |tokens: &[Token]| tokens.iter().all(|token| matches!(token, Token::Char(_)));
        let plain = is_plain(&self.0) && is_plain(&other.0);
        (plain && self != other)
            || clash(&mut self.0.iter(), &mut other.0.iter())
            || clash(&mut self.0.iter().rev(), &mut other.0.iter().rev())
    }
}

impl Token {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One, Self::Char(_) | Self::One) => true,
            // A `*` of the other side may be nothing or anything; only a `*` covers that.
            (_, Self::Any | Self::One) => false,
            (left, right) => left == right,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in self.0.iter() {
            match token {
                Token::Char(char) => write!(f, "{char}")?,
                Token::One => f.write_str("?")?,
                Token::Any => f.write_str("*")?,
                Token::Unknown(name) => write!(f, "${{{name}}}")?,
            }
        }
        Ok(())
    }
}

fn tokens(value: &Value, resolve: Resolve<'_>, wildcards: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    for piece in pieces(value, resolve) {
        match piece {
            Piece::Literal(text) if wildcards => literal(&text, wildcard, &mut tokens),
            Piece::Literal(text) => literal(&text, Token::Char, &mut tokens),
            Piece::Reference(target, Some(name)) => tokens.push(Token::Unknown(format!("{target}.{name}"))),
            Piece::Reference(target, None) => tokens.push(Token::Unknown(target.to_owned())),
            Piece::Opaque(text) => tokens.push(Token::Unknown(text)),
        }
    }
    tokens
}

/// A text, in which a variable of the policy (`${aws:username}`) can be anything.
fn literal(text: &str, token: fn(char) -> Token, tokens: &mut Vec<Token>) {
    for part in sub_parts(text) {
        match part {
            SubPart::Literal(text) => tokens.extend(text.chars().map(token)),
            SubPart::Variable(name) => tokens.push(Token::Unknown(name.to_owned())),
        }
    }
}

fn wildcard(char: char) -> Token {
    match char {
        '*' => Token::Any,
        '?' => Token::One,
        char => Token::Char(char),
    }
}

/// A set of texts: those of a pattern, or all but those of some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Of(Pattern),
    Except(Vec<Pattern>),
}

impl Scope {
    /// In lower case, for what is compared so.
    pub(crate) fn lower(&self) -> Self {
        match self {
            Self::Of(pattern) => Self::Of(pattern.lower()),
            Self::Except(patterns) => Self::Except(patterns.iter().map(Pattern::lower).collect()),
        }
    }

    /// Whether every text of `other` is in this one. `false` also where that can't be shown.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Of(outer), Self::Of(inner)) => outer.covers(inner),
            (Self::Of(outer), Self::Except(_)) => outer.is_any(),
            (Self::Except(out), Self::Of(inner)) => out.iter().all(|out| out.is_apart(inner)),
            (Self::Except(out), Self::Except(others)) => {
                out.iter().all(|out| others.iter().any(|other| other.covers(out)))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(pattern) => pattern.fmt(f),
            Self::Except(patterns) => {
                f.write_str("all but ")?;
                for (index, pattern) in patterns.iter().enumerate() {
                    write!(f, "{}{pattern}", if index > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_contain() {
        for (outer, inner, expected) in [
            ("*", "anything", true),
            ("*", "", true),
            ("s3:*", "s3:get*", true),
            ("s3:get*", "s3:*", false),
            ("s3:get?bject", "s3:getobject", true),
            ("s3:get?", "s3:get*", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "a*c", false),
            ("a*c", "a*b*c", true),
            ("*a", "*ba", true),
            ("??", "?", false),
            ("?*", "a*", true),
            ("?*", "*", false),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(Pattern::text(outer).covers(&Pattern::text(inner)), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn what_is_unknown_equals_only_itself() {
        let value = |json: serde_json::Value| Pattern::of(&json, &crate::pieces::unresolved);
        let queue = value(serde_json::json!({"Fn::GetAtt": ["Q", "Arn"]}));
        let below = value(serde_json::json!({"Fn::Sub": "${Q.Arn}/*"}));
        let item = value(serde_json::json!({"Fn::Join": ["", [{"Fn::GetAtt": "Q.Arn"}, "/x"]]}));
        assert!(below.covers(&item) && !item.covers(&below));
        assert!(Pattern::text("*").covers(&queue) && !Pattern::text("?").covers(&queue));
        assert!(queue.covers(&queue) && !queue.covers(&value(serde_json::json!({"Ref": "Q"}))));
    }

    #[test]
    fn patterns_are_apart_only_where_it_is_sure() {
        for (left, right, expected) in [
            ("iam:*", "s3:get*", true),
            ("*:get", "*:put", true),
            ("s3:*", "s3:get*", false),
            ("a", "ab", true),
            ("*", "a", false),
            ("a?", "ab", false),
        ] {
            assert_eq!(Pattern::text(left).is_apart(&Pattern::text(right)), expected, "{left} {right}");
        }
        assert!(!Pattern::unknown("Q").is_apart(&Pattern::text("s3:get")));
        let user = Pattern::of(&serde_json::json!("${aws:username}/x"), &crate::pieces::unresolved);
        assert!(!user.is_apart(&Pattern::text("bob/x")) && user.is_apart(&Pattern::text("bob/y")));
        assert!(Pattern::text("*/x").covers(&user) && !Pattern::text("bob/x").covers(&user));
    }
}
