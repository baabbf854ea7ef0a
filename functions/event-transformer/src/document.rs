//! A JSON document that keeps the spelling of what isn't changed.
//!
//! Numbers and texts stay the text that they came as, so no digit is lost and no number becomes a floating-point number.
//! Members keep their order. Only white space between values is dropped when the document is written.
//! What readers of JSON disagree about is reported: members that are named twice, and halves of surrogate pairs.

use events::raw::ViolationCode;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

/// How deep arrays and objects may lie in each other. Reading and writing a document recurse, and a function's stack is
/// limited; serde_json itself stops at 128.
pub(crate) const MAX_DEPTH: usize = 64;

/// Most defects that are told of one document, and most bytes of their pointers: a document is as large as its sender
/// likes, and pointers repeat its names.
const MAX_DEFECTS: usize = 100;
const MAX_POINTER_BYTES: usize = 1_024;

/// A JSON value.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(&'a str),
    /// The number's text.
    Number(&'a str),
    /// The text with its quotes and escapes.
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// The name with its quotes and escapes.
    spelling: &'a str,
    name: Cow<'a, str>,
    value: Value<'a>,
}

/// Something that makes a document ambiguous, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    pub(crate) pointer: String,
    pub(crate) code: ViolationCode,
}

/// Reads a document and tells what is wrong with it, with the first hundred places.
///
/// # Errors
/// When its arrays and objects lie deeper in each other than [`MAX_DEPTH`]: the place.
pub(crate) fn read(text: &RawValue) -> Result<(Value<'_>, Vec<Defect>), Defect> {
    let mut reader = Reader { text: text.get(), at: 0, path: Vec::new(), defects: Vec::new() };
    let value = reader.value()?;
    Ok((value, reader.defects))
}

impl<'a> Value<'a> {
    /// The value at a place, if there is one. Of members with one name the first counts.
    pub(crate) fn find(&self, pointer: &Pointer) -> Option<&Self> {
        pointer.0.iter().try_fold(self, |value, step| match value {
            Self::Array(values) => values.get(index(step)?),
            _ => value.member(step),
        })
    }

    /// A member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|member| member.name == name).map(|member| &member.value)
    }

    /// Puts a text in the place of the value there, and gives back what it was.
    pub(crate) fn replace(&mut self, pointer: &Pointer, text: &str) -> Option<Self> {
        let place = pointer.0.iter().try_fold(self, |value, step| match value {
            Self::Object(members) => {
                members.iter_mut().find(|member| member.name == *step).map(|member| &mut member.value)
            }
            Self::Array(values) => values.get_mut(index(step)?),
            _ => None,
        })?;
        Some(std::mem::replace(place, Self::Text(Cow::Owned(quoted(text)))))
    }

    /// The characters of a text.
    pub(crate) fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(spelling) => unquoted(spelling).ok(),
            _ => None,
        }
    }

    /// The value's JSON.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(text) | Self::Number(text) => out.push_str(text),
            Self::Text(spelling) => out.push_str(spelling),
            Self::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => write_members(members.iter(), out),
        }
    }

    /// The value's JSON without its members of a name. Those of values in it stay.
    pub(crate) fn write_without(&self, name: &str, out: &mut String) {
        match self {
            Self::Object(members) => write_members(members.iter().filter(|member| member.name != name), out),
            _ => self.write(out),
        }
    }
}

fn write_members<'m, 'a: 'm>(members: impl Iterator<Item = &'m Member<'a>>, out: &mut String) {
    out.push('{');
    for (index, member) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(member.spelling);
        out.push(':');
        member.value.write(out);
    }
    out.push('}');
}

/// A place in a document (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// The pointer's text, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        text.strip_prefix('/')?.split('/').map(unescaped).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether it is the place of the document itself.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// A member of the document itself.
    pub(crate) fn member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

fn unescaped(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(1)?;
        text.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}

fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || !step.starts_with(['0', '+']);
    canonical.then(|| step.parse().ok()).flatten()
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The characters of a JSON text.
fn unquoted(spelling: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    let inner = spelling.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str(spelling).map(Cow::Owned),
    }
}

/// Goes through a text that is known to be JSON: where a token begins says what it is, and it only has to be found where
/// it ends.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    path: Vec<String>,
    defects: Vec<Defect>,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value<'a>, Defect> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => {
                let spelling = self.text_token();
                if unquoted(spelling).is_err() {
                    self.report(ViolationCode::NotText);
                }
                Ok(Value::Text(Cow::Borrowed(spelling)))
            }
            _ => Ok(match self.plain_token() {
                "null" => Value::Null,
                token @ ("true" | "false") => Value::Boolean(token),
                token => Value::Number(token),
            }),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value<'a>, Defect>) -> Result<Value<'a>, Defect> {
        if self.path.len() >= MAX_DEPTH {
            return Err(Defect { pointer: self.pointer(), code: ViolationCode::TooDeep });
        }
        self.at += 1;
        let value = read(self);
        self.at += 1;
        value
    }

    fn object(&mut self) -> Result<Value<'a>, Defect> {
        let mut members = Vec::new();
        let mut names = HashSet::new();
        while self.peek() != Some(b'}') && self.at < self.text.len() {
            let spelling = self.text_token();
            let name = unquoted(spelling);
            let unreadable = name.is_err();
            let name = name.unwrap_or(Cow::Borrowed(spelling));
            self.path.push(name.clone().into_owned());
            if unreadable {
                self.report(ViolationCode::NotText);
            }
            if !names.insert(name.clone()) {
                self.report(ViolationCode::DuplicateMember);
            }
            self.skip(b':');
            let value = self.value()?;
            self.skip(b',');
            self.path.pop();
            members.push(Member { spelling, name, value });
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value<'a>, Defect> {
        let mut values = Vec::new();
        while self.peek() != Some(b']') && self.at < self.text.len() {
            self.path.push(values.len().to_string());
            values.push(self.value()?);
            self.skip(b',');
            self.path.pop();
        }
        Ok(Value::Array(values))
    }

    /// The first byte of the next token.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, separator: u8) {
        if self.peek() == Some(separator) {
            self.at += 1;
        }
    }

    fn text_token(&mut self) -> &'a str {
        self.peek();
        let bytes = &self.text.as_bytes()[self.at..];
        let mut end = 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.token(end + 1)
    }

    fn plain_token(&mut self) -> &'a str {
        let bytes = &self.text.as_bytes()[self.at..];
        // At least one byte, so that reading always goes on.
        let end = bytes.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
        self.token(end.unwrap_or(bytes.len()).max(1))
    }

    fn token(&mut self, bytes: usize) -> &'a str {
        let text = self.text;
        let end = self.at + bytes;
        let token =
            text.get(self.at..end).expect("invariant: the text is JSON, so a token ends at a character within it");
        self.at = end;
        token
    }

    fn report(&mut self, code: ViolationCode) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(Defect { pointer: self.pointer(), code });
        }
    }

    /// Where the reader is, or the nearest place around it whose pointer isn't too long.
    fn pointer(&self) -> String {
        let mut bytes = 0;
        let fitting = self.path.iter().take_while(|step| {
            bytes += step.len() + 1;
            bytes <= MAX_POINTER_BYTES
        });
        Pointer(fitting.cloned().collect()).to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests;
