//! Walks a TOML document and collects every mistake instead of stopping at the first.
//!
//! A getter gives `None` when it has recorded a mistake; a section builds its value with `?` after all getters ran, so
//! nothing is ever made from a guessed value. What a value must look like is said by a [`Rule`].

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::mistake::Mistake;
use super::rule::{Problem, Rule};

/// A quoted value is cut after so many characters.
const LONGEST_QUOTE: usize = 60;

/// The document, and the mistakes found in it so far.
pub(super) struct Reader<'text> {
    file: &'text str,
    text: &'text str,
    /// Where the text's lines end, so that many mistakes in a long file don't each search it from its beginning.
    line_ends: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'text> Reader<'text> {
    pub(super) fn new(file: &'text str, text: &'text str) -> Self {
        let line_ends = text.match_indices('\n').map(|(offset, _)| offset).collect();
        Self { file, text, line_ends, mistakes: RefCell::default() }
    }

    /// Parses the text and reads it from its root; what doesn't parse is recorded and skipped.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Option<T> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            let problem = format!("the file is not valid TOML: {}", error.message().replace('\n', " "));
            self.record(offset, "", problem, "see https://toml.io for how values and sections are written");
        }
        let value = Section::new(self, String::new(), 0, root.get_ref()).read(read);
        // What follows from a syntax error would only hide it.
        if !errors.is_empty() {
            self.mistakes.borrow_mut().truncate(errors.len());
            return None;
        }
        value
    }

    /// The mistakes in the order of lines.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(Mistake::line);
        mistakes
    }

    /// The line of an offset, from 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    fn record(&self, offset: usize, key: &str, problem: String, hint: impl Into<String>) {
        let mistake = Mistake::new(self.file, self.line(offset), key, problem, hint.into());
        self.mistakes.borrow_mut().push(mistake);
    }

    /// The value as it stands in the file, on one line.
    fn quote(&self, span: Range<usize>) -> String {
        let source = self.text.get(span).unwrap_or_default().trim();
        let line = source.lines().next().unwrap_or_default();
        if line.len() == source.len() && line.chars().count() <= LONGEST_QUOTE {
            line.to_owned()
        } else {
            let kept: String = line.chars().take(LONGEST_QUOTE).collect();
            format!("{kept}…")
        }
    }
}

/// One table of the document.
pub(super) struct Section<'read> {
    reader: &'read Reader<'read>,
    path: String,
    /// Where the section stands, for keys that it lacks.
    offset: usize,
    table: &'read DeTable<'read>,
    known: Vec<&'static str>,
    /// The keys are the user's own words, so that none is unknown.
    open: bool,
    missing: Vec<(&'static str, String)>,
}

impl<'read> Section<'read> {
    fn new(reader: &'read Reader<'read>, path: String, offset: usize, table: &'read DeTable<'read>) -> Self {
        Self { reader, path, offset, table, known: Vec::new(), open: false, missing: Vec::new() }
    }

    /// Reads a key that must be there.
    pub(super) fn required<T: 'static>(&mut self, key: &'static str, rule: &Rule<T>) -> Option<T> {
        match self.find(key) {
            Some(value) => self.value(&self.path_of(key), value, rule),
            None => {
                self.missing.push((key, format!("add `{key} = …`: {}", rule.hint())));
                None
            }
        }
    }

    /// Reads a key that may be left out: `Some(None)` then.
    pub(super) fn optional<T: 'static>(&mut self, key: &'static str, rule: &Rule<T>) -> Option<Option<T>> {
        match self.find(key) {
            Some(value) => self.value(&self.path_of(key), value, rule).map(Some),
            None => Some(None),
        }
    }

    /// Reads a list in which each element follows `rule`; a list that is left out is empty.
    pub(super) fn list<T: 'static>(&mut self, key: &'static str, rule: &Rule<T>) -> Option<Vec<T>> {
        let Some(value) = self.find(key) else {
            return Some(Vec::new());
        };
        let Some(elements) = value.get_ref().as_array() else {
            self.mistake(key, "which is not a list", &format!("write a list: `{key} = [\"…\", \"…\"]`"));
            return None;
        };
        let path = self.path_of(key);
        let read = |(index, element)| self.value(&format!("{path}[{index}]"), element, rule);
        // All elements are read before the first failure counts, so that each mistake is recorded.
        let values: Vec<Option<T>> = elements.iter().enumerate().map(read).collect();
        values.into_iter().collect()
    }

    /// Reads a section that must be there.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let found = self.optional_section(key, read);
        if let Some(None) = &found {
            let path = self.path_of(key);
            self.missing.push((key, format!("add the section `[{path}]`")));
        }
        found?
    }

    /// Reads a section that may be left out: `Some(None)` then.
    pub(super) fn optional_section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(value) = self.find(key) else {
            return Some(None);
        };
        let Some(table) = value.get_ref().as_table() else {
            self.mistake(key, "which is not a section", &format!("write it as a section: `[{}]`", self.path_of(key)));
            return None;
        };
        Section::new(self.reader, self.path_of(key), self.offset_of(key), table).read(read).map(Some)
    }

    /// Reads sections that are written as `[[key]]`, each with the line it starts on.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(value) = self.find(key) else {
            self.missing.push((key, format!("add sections `[[{}]]`", self.path_of(key))));
            return None;
        };
        let tables = value.get_ref().as_array().map(|elements| {
            let table =
                |element: &'read Spanned<DeValue<'read>>| Some((element.span().start, element.get_ref().as_table()?));
            elements.iter().map(table).collect::<Option<Vec<_>>>()
        });
        let Some(Some(tables)) = tables else {
            let hint = format!("write each one as a section: `[[{}]]`", self.path_of(key));
            self.mistake(key, "which is not a list of sections", &hint);
            return None;
        };
        let path = self.path_of(key);
        let read =
            |(index, (offset, table))| Section::new(self.reader, format!("{path}[{index}]"), offset, table).read(&read);
        let values: Vec<Option<T>> = tables.into_iter().enumerate().map(read).collect();
        values.into_iter().collect()
    }

    /// All keys with their texts: for a section whose keys are the user's own words.
    pub(super) fn entries<T: 'static>(&mut self, rule: &Rule<T>) -> Option<Vec<(String, T)>> {
        self.open = true;
        let read = |(key, value): (&Spanned<DeString<'_>>, _)| {
            let key = key.get_ref();
            Some((key.to_string(), self.value(&self.path_of(key), value, rule)?))
        };
        let entries: Vec<Option<(String, T)>> = self.table.iter().map(read).collect();
        entries.into_iter().collect()
    }

    /// Records that the value of `key` is wrong; `problem` goes on after the quoted value.
    ///
    /// A key that isn't there is said to be missing, at the line of its section.
    pub(super) fn mistake(&self, key: &str, problem: &str, hint: &str) {
        let path = self.path_of(key);
        match self.table.get(key) {
            Some(value) => {
                let problem = format!("`{path}` is {}, {problem}", self.reader.quote(value.span()));
                self.reader.record(self.offset_of(key), &path, problem, hint);
            }
            None => self.reader.record(self.offset, &path, format!("`{path}` is missing, {problem}"), hint),
        }
    }

    /// Records a mistake about the key itself or what belongs to it; `problem` is the whole sentence.
    pub(super) fn mistake_at(&self, key: &str, problem: String, hint: &str) {
        self.reader.record(self.offset_of(key), &self.path_of(key), problem, hint);
    }

    /// Whether the file has `key` here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether `key` is a list without an element.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.table.get(key).and_then(|value| value.get_ref().as_array()).is_some_and(|list| list.is_empty())
    }

    /// The line of `key`, from 1; that of the section when the key isn't there.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.reader.line(self.offset_of(key))
    }

    /// A section inside this one that was read already, to check relations between keys.
    pub(super) fn inner(&self, key: &str) -> Option<Section<'read>> {
        let table = self.table.get(key)?.get_ref().as_table()?;
        Some(Section::new(self.reader, self.path_of(key), self.offset_of(key), table))
    }

    /// One of the sections written as `[[key]]` that was read already, to check relations between them.
    pub(super) fn inner_at(&self, key: &str, index: usize) -> Option<Section<'read>> {
        let element = self.table.get(key)?.get_ref().as_array()?.get(index)?;
        let path = format!("{}[{index}]", self.path_of(key));
        Some(Section::new(self.reader, path, element.span().start, element.get_ref().as_table()?))
    }

    fn read<T>(mut self, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Option<T> {
        let value = read(&mut self);
        let complete = self.finish();
        value.filter(|_| complete)
    }

    /// Records unknown keys and then missing ones; a missing key that a typo stands for is said once.
    fn finish(&mut self) -> bool {
        let unknown =
            self.table.keys().map(|key| key.get_ref().as_ref()).filter(|key| !self.open && !self.known.contains(key));
        let mut complete = true;
        for key in unknown {
            complete = false;
            let path = self.path_of(key);
            let hint = match nearest(key, &self.known) {
                Some(known) => {
                    self.missing.retain(|(missing, _)| *missing != known);
                    format!("did you mean `{known}`?")
                }
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            self.reader.record(self.offset_of(key), &path, format!("`{path}` is not a known key"), hint);
        }
        for (key, hint) in std::mem::take(&mut self.missing) {
            complete = false;
            let path = self.path_of(key);
            self.reader.record(self.offset, &path, format!("`{path}` is missing"), hint);
        }
        complete
    }

    fn find(&mut self, key: &'static str) -> Option<&'read Spanned<DeValue<'read>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn value<T: 'static>(&self, path: &str, value: &Spanned<DeValue<'_>>, rule: &Rule<T>) -> Option<T> {
        match rule.read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(Problem { phrase, hint }) => {
                let quote = if rule.hidden() {
                    "a value that is not shown here".to_owned()
                } else {
                    self.reader.quote(value.span())
                };
                let problem = format!("`{path}` is {quote}, which is {phrase}");
                self.reader.record(value.span().start, path, problem, hint);
                None
            }
        }
    }

    /// `key` with its sections before it.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn offset_of(&self, key: &str) -> usize {
        self.table.get_key_value(key).map_or(self.offset, |(key, _)| key.span().start)
    }
}

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'known>(word: &str, known: &[&'known str]) -> Option<&'known str> {
    let candidates = known.iter().map(|&candidate| (edits(word, candidate), candidate));
    let (distance, candidate) = candidates.min()?;
    let allowed = word.chars().count().div_ceil(3).min(3);
    (distance <= allowed).then_some(candidate)
}

/// The least number of inserted, removed and changed characters between two words.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, from) in from.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, &to) in to.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word_and_others_do_not() {
        let known = ["timeout", "memory", "log_level"];
        assert_eq!(nearest("timout", &known), Some("timeout"));
        assert_eq!(nearest("loglevel", &known), Some("log_level"));
        assert_eq!(nearest("memroy", &known), Some("memory"));
        assert_eq!(nearest("bananas", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn edits_are_counted() {
        for (from, to, expected) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3)] {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }
}
