//! Reads the language: by hand, so that each mistake has its line and its own words.

use serde_json::{Map, Value as Json};

use crate::Problem;
use crate::syntax::{
    Block, Clause, ClauseKind, Comparison, Conjunction, File, Let, Literal, Operand, Part, Pattern, Query, Question,
    Range, Rule,
};

/// How deep blocks, filters, lists and maps may lie in each other. Reading and evaluating them takes the stack.
const MAX_DEPTH: usize = 64;

/// Reads a whole file.
pub(crate) fn file(name: &str, text: &str) -> Result<File, Problem> {
    let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut parser = Parser { name, text, line_ends, at: 0, depth: 0, in_conditions: false };
    let mut file = File { lets: Vec::new(), rules: Vec::new() };
    loop {
        parser.skip();
        if parser.rest().is_empty() {
            return Ok(file);
        }
        if parser.word("let") {
            file.lets.push(parser.assignment()?);
        } else if parser.word("rule") {
            let rule = parser.rule()?;
            if file.rules.iter().any(|other| other.name == rule.name) {
                return Err(parser.problem_at(rule.line, format!("there is another rule `{}`", rule.name)));
            }
            file.rules.push(rule);
        } else {
            return Err(parser.problem("expected `let` or `rule`; put clauses into a rule"));
        }
    }
}

struct Parser<'a> {
    name: &'a str,
    text: &'a str,
    /// Where the text's lines end: each clause asks for its line.
    line_ends: Vec<usize>,
    at: usize,
    depth: usize,
    /// Inside of conditions a `{` ends them and starts no block.
    in_conditions: bool,
}

type Read<T> = Result<T, Problem>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn line(&self) -> u32 {
        let breaks = self.line_ends.partition_point(|end| *end < self.at);
        u32::try_from(breaks).map_or(u32::MAX, |breaks| breaks.saturating_add(1))
    }

    fn problem(&self, what: impl Into<String>) -> Problem {
        self.problem_at(self.line(), what)
    }

    fn problem_at(&self, line: u32, what: impl Into<String>) -> Problem {
        Problem { file: self.name.to_owned(), line, what: what.into() }
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Takes a sign if it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Read<()> {
        self.skip();
        if self.sign(sign) { Ok(()) } else { Err(self.problem(format!("expected `{sign}`{}", self.before()))) }
    }

    fn before(&self) -> String {
        let shown: String = self.rest().chars().take_while(|one| *one != '\n').take(20).collect();
        if shown.is_empty() { " at the end of the file".to_owned() } else { format!(" before `{shown}`") }
    }

    /// Reads what lies one deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == MAX_DEPTH {
            return Err(
                self.problem(format!("more than {MAX_DEPTH} blocks, filters, lists and maps lie in each other"))
            );
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Takes a keyword, in small letters or capitals, if it comes next as a whole word.
    fn word(&mut self, word: &str) -> bool {
        let Some((start, after)) = self.rest().split_at_checked(word.len()) else { return false };
        let found = (start == word || start == word.to_uppercase()) && !after.starts_with(is_name);
        if found {
            self.at += word.len();
        }
        found
    }

    fn name(&mut self, what: &str) -> Read<String> {
        let rest = self.rest();
        let length = rest.find(|one| !is_name(one)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.problem(format!("expected {what}{}", self.before())));
        }
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn assignment(&mut self) -> Read<Let> {
        self.skip();
        let name = self.name("a variable's name")?;
        self.skip();
        if !self.sign(":=") && !self.sign("=") {
            return Err(self.problem(format!("expected `=`{}", self.before())));
        }
        Ok(Let { name, value: self.operand()? })
    }

    fn rule(&mut self) -> Read<Rule> {
        self.skip();
        let line = self.line();
        let name = self.name("a rule's name")?;
        self.skip();
        if self.rest().starts_with('(') {
            return Err(self.problem("rules with parameters are not supported"));
        }
        let when = self.conditions()?;
        Ok(Rule { name, line, when, block: self.block()? })
    }

    fn conditions(&mut self) -> Read<Option<Conjunction>> {
        self.skip();
        if self.word("when") { self.under().map(Some) } else { Ok(None) }
    }

    /// The conditions after `when`.
    fn under(&mut self) -> Read<Conjunction> {
        self.in_conditions = true;
        let conditions = self.conjunction(&['{']);
        self.in_conditions = false;
        conditions
    }

    fn block(&mut self) -> Read<Block> {
        self.deeper(Self::inner_block)
    }

    fn inner_block(&mut self) -> Read<Block> {
        self.expect("{")?;
        let mut lets = Vec::new();
        let mut clauses = Vec::new();
        loop {
            self.skip();
            if self.sign("}") {
                return if clauses.is_empty() {
                    Err(self.problem("the block has no clause"))
                } else {
                    Ok(Block { lets, clauses })
                };
            }
            if self.word("let") {
                lets.push(self.assignment()?);
            } else {
                clauses.push(self.disjunction()?);
            }
        }
    }

    /// Clauses up to one of the signs, which is left.
    fn conjunction(&mut self, ends: &[char]) -> Read<Conjunction> {
        let mut clauses = Vec::new();
        loop {
            self.skip();
            if self.rest().starts_with(ends) {
                return if clauses.is_empty() { Err(self.problem("expected a clause")) } else { Ok(clauses) };
            }
            if self.rest().is_empty() {
                return Err(self.problem("the file ends inside of a clause"));
            }
            clauses.push(self.disjunction()?);
        }
    }

    fn disjunction(&mut self) -> Read<Vec<Clause>> {
        let mut clauses = vec![self.clause()?];
        loop {
            self.skip();
            if !self.word("or") && !self.sign("|OR|") {
                return Ok(clauses);
            }
            self.skip();
            clauses.push(self.clause()?);
        }
    }

    fn clause(&mut self) -> Read<Clause> {
        self.skip();
        let (start, line) = (self.at, self.line());
        let kind = self.clause_kind()?;
        let text = self.text[start..self.at].trim().to_owned();
        self.skip();
        let message = self.sign("<<").then(|| self.message()).transpose()?;
        Ok(Clause { line, text, message, kind })
    }

    fn clause_kind(&mut self) -> Read<ClauseKind> {
        if self.word("when") {
            let conditions = self.under()?;
            return Ok(ClauseKind::When { conditions, block: self.block()? });
        }
        let inverted = self.sign("!") || self.word("not");
        self.skip();
        if let Some(type_name) = self.type_name() {
            let when = self.conditions()?;
            return Ok(ClauseKind::Type { type_name, when, block: self.block()? });
        }
        let query = self.query()?;
        let (after, line) = (self.at, self.line());
        self.skip();
        if !self.in_conditions && self.rest().starts_with('{') {
            return Ok(ClauseKind::Each { query, block: self.block()? });
        }
        if let Some((question, negated)) = self.question() {
            return Ok(ClauseKind::Ask { query, question, negated: negated != inverted });
        }
        if let Some((operator, negated)) = self.comparison() {
            if inverted {
                return Err(self.problem_at(line, "a comparison is negated by its operator: `!=`, `not in`"));
            }
            return Ok(ClauseKind::Compare { query, operator, negated, operand: self.operand()? });
        }
        // Nothing follows: the text was the name of a rule.
        self.at = after;
        match query.parts.as_slice() {
            [Part::Key(name)] if !query.some => Ok(ClauseKind::Rule { name: name.clone(), negated: inverted }),
            _ => Err(self.problem_at(line, format!("expected an operator after the query{}", self.before()))),
        }
    }

    /// `AWS::SQS::Queue` and the like.
    fn type_name(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.find(|one: char| !is_name(one) && one != ':').unwrap_or(rest.len());
        let name = &rest[..length];
        (name.matches("::").count() >= 2).then(|| {
            self.at += length;
            name.to_owned()
        })
    }

    fn message(&mut self) -> Read<String> {
        let rest = self.rest();
        let end = rest.find(">>").ok_or_else(|| self.problem("the message has no end, `>>`"))?;
        self.at += end + 2;
        let lines = rest[..end].lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.collect::<Vec<_>>().join(" "))
    }

    fn question(&mut self) -> Option<(Question, bool)> {
        let start = self.at;
        let negated = self.sign("!") || self.word("not");
        self.skip();
        let known = [
            ("exists", Question::Exists),
            ("empty", Question::Empty),
            ("is_string", Question::IsString),
            ("is_list", Question::IsList),
            ("is_struct", Question::IsStruct),
            ("is_bool", Question::IsBool),
            ("is_int", Question::IsInt),
            ("is_float", Question::IsFloat),
            ("is_null", Question::IsNull),
        ];
        let found = known.into_iter().find(|(word, _)| self.word(word));
        if found.is_none() {
            self.at = start;
        }
        found.map(|(_, question)| (question, negated))
    }

    fn comparison(&mut self) -> Option<(Comparison, bool)> {
        let signs = [
            ("==", Comparison::Equal, false),
            ("!=", Comparison::Equal, true),
            (">=", Comparison::GreaterOrEqual, false),
            ("<=", Comparison::LessOrEqual, false),
            (">", Comparison::Greater, false),
        ];
        if let Some((_, comparison, negated)) = signs.into_iter().find(|(sign, ..)| self.sign(sign)) {
            return Some((comparison, negated));
        }
        // `<<` starts a message.
        if !self.rest().starts_with("<<") && self.sign("<") {
            return Some((Comparison::Less, false));
        }
        let start = self.at;
        if self.word("not_in") {
            return Some((Comparison::In, true));
        }
        let negated = self.sign("!") || self.word("not");
        self.skip();
        if self.word("in") {
            return Some((Comparison::In, negated));
        }
        self.at = start;
        None
    }

    fn query(&mut self) -> Read<Query> {
        let some = self.word("some");
        self.skip();
        let first = if self.sign("%") {
            Part::Variable(self.name("a variable's name")?)
        } else if self.rest().starts_with(['\'', '"']) {
            Part::Key(self.quoted()?)
        } else if self.word("this") {
            Part::This
        } else if self.sign("*") {
            Part::AllValues
        } else {
            Part::Key(self.name("a property's name")?)
        };
        if self.rest().starts_with('(') {
            return Err(self.problem("functions are not supported"));
        }
        let mut parts = vec![first];
        loop {
            if self.sign(".") {
                parts.push(self.dotted()?);
            } else if self.sign("[") {
                parts.push(self.deeper(Self::bracketed)?);
            } else {
                return Ok(Query { parts, some });
            }
        }
    }

    fn dotted(&mut self) -> Read<Part> {
        if self.sign("*") {
            return Ok(Part::AllValues);
        }
        if self.rest().starts_with('%') {
            return Err(self.problem("a variable inside of a path is not supported"));
        }
        if self.rest().starts_with(['\'', '"']) {
            return Ok(Part::Key(self.quoted()?));
        }
        let name = self.name("a property's name")?;
        Ok(name.parse().map_or(Part::Key(name), Part::Index))
    }

    fn bracketed(&mut self) -> Read<Part> {
        self.skip();
        if self.sign("*") {
            self.expect("]")?;
            return Ok(Part::AllIndices);
        }
        let rest = self.rest();
        let digits = rest.find(|one: char| !one.is_ascii_digit() && one != '-').unwrap_or(rest.len());
        if let Ok(index) = rest[..digits].parse() {
            self.at += digits;
            self.expect("]")?;
            return Ok(Part::Index(index));
        }
        if self.word("keys") {
            self.skip();
            let Some((operator, negated)) =
                self.comparison().filter(|(one, _)| matches!(one, Comparison::Equal | Comparison::In))
            else {
                return Err(self.problem("expected `==`, `!=`, `in` or `not in` after `keys`"));
            };
            let operand = self.operand()?;
            self.expect("]")?;
            return Ok(Part::Keys { operator, negated, operand });
        }
        let name = rest.find(|one: char| !is_name(one)).map_or(rest, |end| &rest[end..]);
        if name.trim_start().starts_with('|') {
            return Err(self.problem("captured keys are not supported"));
        }
        let filter = self.conjunction(&[']'])?;
        self.expect("]")?;
        Ok(Part::Filter(filter))
    }

    fn operand(&mut self) -> Read<Operand> {
        self.skip();
        match self.literal()? {
            Some(literal) => Ok(Operand::Literal(literal)),
            None => self.query().map(Operand::Query),
        }
    }

    fn literal(&mut self) -> Read<Option<Literal>> {
        self.skip();
        let rest = self.rest();
        let literal = match rest.chars().next() {
            Some('\'' | '"') => Literal::Json(Json::String(self.quoted()?)),
            Some('/') => self.regex()?,
            Some('[') => self.deeper(Self::list)?,
            Some('{') => self.deeper(Self::map)?,
            Some('r') if rest[1..].starts_with(['[', '(']) => self.range()?,
            Some(first) if first.is_ascii_digit() || first == '-' => Literal::Json(self.number()?),
            _ if self.word("true") || self.sign_word("True") => Literal::Json(Json::Bool(true)),
            _ if self.word("false") || self.sign_word("False") => Literal::Json(Json::Bool(false)),
            _ if self.word("null") => Literal::Json(Json::Null),
            _ => return Ok(None),
        };
        Ok(Some(literal))
    }

    fn sign_word(&mut self, word: &str) -> bool {
        let ends = self.rest().strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_name));
        ends && self.sign(word)
    }

    fn quoted(&mut self) -> Read<String> {
        let line = self.line();
        let mut characters = self.rest().char_indices();
        let Some((_, quote)) = characters.next() else { return Err(self.problem("expected a text")) };
        let mut text = String::new();
        let mut escaped = false;
        for (index, one) in characters {
            match one {
                // Only the quote itself is escaped; anything else keeps its backslash, as `cfn-guard` has it.
                one if escaped && one == quote => text.push(one),
                one if escaped => text.extend(['\\', one]),
                '\\' => {}
                one if one == quote => {
                    self.at += index + one.len_utf8();
                    return Ok(text);
                }
                one => text.push(one),
            }
            escaped = one == '\\' && !escaped;
        }
        Err(self.problem_at(line, "the text has no end"))
    }

    fn regex(&mut self) -> Read<Literal> {
        let line = self.line();
        let mut pattern = String::new();
        let mut escaped = false;
        for (index, one) in self.rest().char_indices().skip(1) {
            match one {
                '/' if escaped => {
                    pattern.pop();
                    pattern.push('/');
                }
                '/' => {
                    self.at += index + 1;
                    let regex = Pattern::new(&pattern);
                    return regex.map(Literal::Regex).map_err(|error| {
                        self.problem_at(line, format!("the regular expression `{pattern}` is not supported: {error}"))
                    });
                }
                '\n' => break,
                other => pattern.push(other),
            }
            escaped = one == '\\' && !escaped;
        }
        Err(self.problem_at(line, "the regular expression has no end, `/`"))
    }

    fn number(&mut self) -> Read<Json> {
        let rest = self.rest();
        let length = rest.find(|one: char| !one.is_ascii_digit() && !"-+.eE".contains(one)).unwrap_or(rest.len());
        let number = rest[..length].parse().map_err(|_| self.problem(format!("`{}` is no number", &rest[..length])))?;
        self.at += length;
        Ok(Json::Number(number))
    }

    fn range(&mut self) -> Read<Literal> {
        let with_low = self.rest()[1..].starts_with('[');
        self.at += 2;
        self.skip();
        let low = self.number()?;
        self.expect(",")?;
        self.skip();
        let high = self.number()?;
        self.skip();
        let with_high = self.sign("]");
        if !with_high {
            self.expect(")")?;
        }
        let whole = low.is_i64() && high.is_i64();
        let bound = |json: &Json| json.as_f64().unwrap_or(f64::NAN);
        Ok(Literal::Range(Range { low: bound(&low), high: bound(&high), with_low, with_high, whole }))
    }

    fn list(&mut self) -> Read<Literal> {
        self.expect("[")?;
        let mut items = Vec::new();
        loop {
            self.skip();
            if self.sign("]") {
                break;
            }
            let item = self.literal()?;
            items.push(item.ok_or_else(|| self.problem(format!("expected a value{}", self.before())))?);
            self.skip();
            if !self.sign(",") && !self.rest().starts_with(']') {
                return Err(self.problem(format!("expected `,` or `]`{}", self.before())));
            }
        }
        Ok(Literal::List(items))
    }

    fn map(&mut self) -> Read<Literal> {
        self.expect("{")?;
        let mut map = Map::new();
        loop {
            self.skip();
            if self.sign("}") {
                return Ok(Literal::Json(Json::Object(map)));
            }
            let quoted = self.rest().starts_with(['\'', '"']);
            let key = if quoted { self.quoted()? } else { self.name("a key")? };
            self.expect(":")?;
            match self.literal()?.and_then(into_json) {
                Some(value) => map.insert(key, value),
                None => return Err(self.problem("a map holds texts, numbers, lists and maps only")),
            };
            self.skip();
            if !self.sign(",") && !self.rest().starts_with('}') {
                return Err(self.problem(format!("expected `,` or `}}`{}", self.before())));
            }
        }
    }
}

fn into_json(literal: Literal) -> Option<Json> {
    match literal {
        Literal::Json(json) => Some(json),
        Literal::List(items) => items.into_iter().map(into_json).collect::<Option<_>>().map(Json::Array),
        Literal::Regex(_) | Literal::Range(_) => None,
    }
}

fn is_name(one: char) -> bool {
    one.is_ascii_alphanumeric() || one == '_'
}
