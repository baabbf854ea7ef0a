//! What rules say about a document. Nothing of the document is copied: what a query finds are references into it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::compare::{equal, equal_json, ordered, same};
use crate::syntax::{
    Block, Clause, ClauseKind, Comparison, Conjunction, File, Let, Literal, Operand, Part, Query, Question, Rule,
};
use crate::{Failure, Outcome, Problem, Status};

/// Most characters of a value that are shown.
const SHOWN: usize = 80;

/// Evaluates every rule of a file.
pub(crate) fn file(name: &str, file: &File, document: &Json) -> Result<Vec<Outcome>, Problem> {
    let evaluator = Evaluator { name, file, document, statuses: RefCell::default() };
    let scope = Scope::new(&file.lets, document, None);
    let mut outcomes = Vec::with_capacity(file.rules.len());
    for rule in &file.rules {
        let mut failures = Failures::wanted();
        let status = evaluator.rule(rule, &scope, &mut failures)?;
        if status != Status::Fail {
            failures.truncate(0);
        }
        let mut failures: Vec<Failure> = failures.list.iter().map(|failed| evaluator.failure(failed)).collect();
        failures.dedup();
        if status == Status::Fail && failures.is_empty() {
            failures.push(of_rule(rule));
        }
        outcomes.push(Outcome { rule: rule.name.clone(), status, failures });
    }
    Ok(outcomes)
}

/// What is told of a rule that fails without a clause that says why: a verdict never vanishes.
fn of_rule(rule: &Rule) -> Failure {
    Failure {
        line: rule.line,
        clause: format!("rule {}", rule.name),
        path: String::new(),
        found: "no clause says why".to_owned(),
        message: None,
    }
}

struct Evaluator<'a> {
    name: &'a str,
    file: &'a File,
    document: &'a Json,
    /// Verdicts so far; nothing while a rule is being evaluated.
    statuses: RefCell<BTreeMap<&'a str, Option<Status>>>,
}

/// Something that a query came to.
#[derive(Clone, Copy)]
enum Found<'a> {
    Value(&'a Json),
    /// The way ended here.
    Missing(&'a Json),
}

#[derive(Clone)]
enum Variable<'a> {
    Found(Vec<Found<'a>>),
    Literal(&'a Literal),
}

/// What names and paths are looked up in: a value, the variables of a block, and the scope around.
struct Scope<'s, 'a> {
    lets: &'a [Let],
    root: &'a Json,
    around: Option<&'s Scope<'s, 'a>>,
    known: RefCell<BTreeMap<&'a str, Variable<'a>>>,
}

impl<'s, 'a> Scope<'s, 'a> {
    fn new(lets: &'a [Let], root: &'a Json, around: Option<&'s Scope<'s, 'a>>) -> Self {
        Self { lets, root, around, known: RefCell::default() }
    }
}

/// A clause that failed. It becomes words only when its rule failed too: alternatives fail all the time, and to find a
/// place in the document takes time.
struct Failed<'a> {
    clause: &'a Clause,
    at: Option<&'a Json>,
    what: What<'a>,
    message: Option<&'a String>,
}

enum What<'a> {
    /// This value doesn't hold.
    Is(&'a Json),
    Missing,
    /// The value holds nothing.
    HoldsNothing,
    /// The query came to nothing.
    NothingFound,
    /// The verdict of a rule.
    Rule {
        name: &'a str,
        passes: bool,
    },
}

/// Failed clauses, if somebody wants to know them: conditions and filters fail all the time.
struct Failures<'a> {
    wanted: bool,
    list: Vec<Failed<'a>>,
}

impl<'a> Failures<'a> {
    fn wanted() -> Self {
        Self { wanted: true, list: Vec::new() }
    }

    fn unwanted() -> Self {
        Self { wanted: false, list: Vec::new() }
    }

    fn push(&mut self, clause: &'a Clause, at: Option<&'a Json>, what: What<'a>) {
        if self.wanted {
            self.list.push(Failed { clause, at, what, message: clause.message.as_ref() });
        }
    }

    fn len(&self) -> usize {
        self.list.len()
    }

    fn truncate(&mut self, length: usize) {
        self.list.truncate(length);
    }
}

impl<'a> Evaluator<'a> {
    fn problem(&self, line: u32, what: String) -> Problem {
        Problem { file: self.name.to_owned(), line, what }
    }

    fn rule(&self, rule: &'a Rule, scope: &Scope<'_, 'a>, failures: &mut Failures<'a>) -> Result<Status, Problem> {
        // A rule that another one asked for is evaluated again for its failures; its verdict is the same.
        self.statuses.borrow_mut().insert(&rule.name, None);
        let status = self.under(rule.when.as_ref(), &rule.block, scope, failures)?;
        self.statuses.borrow_mut().insert(&rule.name, Some(status));
        Ok(status)
    }

    /// A block that holds only under conditions.
    fn under(
        &self,
        when: Option<&'a Conjunction>,
        block: &'a Block,
        scope: &Scope<'_, 'a>,
        failures: &mut Failures<'a>,
    ) -> Result<Status, Problem> {
        if let Some(conditions) = when
            && self.conjunction(conditions, scope, &mut Failures::unwanted())? != Status::Pass
        {
            return Ok(Status::Skip);
        }
        self.block(block, scope, failures)
    }

    fn block(&self, block: &'a Block, scope: &Scope<'_, 'a>, failures: &mut Failures<'a>) -> Result<Status, Problem> {
        let inside = Scope::new(&block.lets, scope.root, Some(scope));
        self.conjunction(&block.clauses, &inside, failures)
    }

    fn conjunction(
        &self,
        conjunction: &'a Conjunction,
        scope: &Scope<'_, 'a>,
        failures: &mut Failures<'a>,
    ) -> Result<Status, Problem> {
        let mut all = Status::Skip;
        for disjunction in conjunction {
            all = match (self.disjunction(disjunction, scope, failures)?, all) {
                (Status::Fail, _) | (_, Status::Fail) => Status::Fail,
                (Status::Pass, _) | (_, Status::Pass) => Status::Pass,
                _ => Status::Skip,
            };
        }
        Ok(all)
    }

    fn disjunction(
        &self,
        clauses: &'a [Clause],
        scope: &Scope<'_, 'a>,
        failures: &mut Failures<'a>,
    ) -> Result<Status, Problem> {
        let before = failures.len();
        let mut failed = false;
        for clause in clauses {
            match self.clause(clause, scope, failures)? {
                Status::Pass => {
                    failures.truncate(before);
                    return Ok(Status::Pass);
                }
                Status::Fail => failed = true,
                Status::Skip => {}
            }
        }
        // Of alternatives the last one usually carries the message for all.
        let message = clauses.iter().rev().find_map(|clause| clause.message.as_ref());
        for failure in failures.list.iter_mut().skip(before).filter(|failure| failure.message.is_none()) {
            failure.message = message;
        }
        Ok(if failed { Status::Fail } else { Status::Skip })
    }

    fn clause(
        &self,
        clause: &'a Clause,
        scope: &Scope<'_, 'a>,
        failures: &mut Failures<'a>,
    ) -> Result<Status, Problem> {
        match &clause.kind {
            ClauseKind::Compare { query, operator, negated, operand } => {
                let left = self.query(query, clause.line, scope)?;
                let results = self.compare(&left, *operator, *negated, operand, clause.line, scope)?;
                Ok(results.map_or(Status::Skip, |results| self.verdict(clause, query.some, &left, results, failures)))
            }
            ClauseKind::Ask { query, question, negated } => {
                let found = self.query(query, clause.line, scope)?;
                if *question == Question::Empty && is_collection(query) {
                    return Ok(self.ask_collection(clause, query, &found, *negated, scope, failures));
                }
                if found.is_empty() {
                    return Ok(Status::Skip);
                }
                let results = found.iter().map(|one| {
                    let answer = ask(*one, *question)
                        .ok_or_else(|| self.problem(clause.line, "`empty` is asked about a number".to_owned()))?;
                    Ok((*one, answer != *negated))
                });
                let results = results.collect::<Result<_, Problem>>()?;
                Ok(self.verdict(clause, query.some, &found, results, failures))
            }
            ClauseKind::Each { query, block } => {
                let found = self.query(query, clause.line, scope)?;
                self.each(clause, &found, query.some, block, scope, failures)
            }
            ClauseKind::When { conditions, block } => self.under(Some(conditions), block, scope, failures),
            ClauseKind::Rule { name, negated } => {
                let passed = self.status_of(name, clause.line)? == Status::Pass;
                if passed == *negated {
                    failures.push(clause, None, What::Rule { name, passes: passed });
                    return Ok(Status::Fail);
                }
                Ok(Status::Pass)
            }
            ClauseKind::Type { type_name, when, block } => {
                if let Some(conditions) = when
                    && self.conjunction(conditions, scope, &mut Failures::unwanted())? != Status::Pass
                {
                    return Ok(Status::Skip);
                }
                let resources = scope.root.get("Resources").and_then(Json::as_object).into_iter().flatten();
                let of_type = resources.filter(|(_, one)| one["Type"] == *type_name.as_str());
                let found: Vec<Found<'a>> = of_type.map(|(_, one)| Found::Value(one)).collect();
                self.each(clause, &found, false, block, scope, failures)
            }
        }
    }

    /// A block about each thing that was found.
    fn each(
        &self,
        clause: &'a Clause,
        found: &[Found<'a>],
        some: bool,
        block: &'a Block,
        scope: &Scope<'_, 'a>,
        failures: &mut Failures<'a>,
    ) -> Result<Status, Problem> {
        let before = failures.len();
        let (mut passed, mut failed) = (false, false);
        for one in found {
            let status = match one {
                Found::Value(value) => {
                    let inside = Scope::new(&[], value, Some(scope));
                    self.block(block, &inside, failures)?
                }
                Found::Missing(at) => {
                    failures.push(clause, Some(at), What::Missing);
                    Status::Fail
                }
            };
            passed |= status == Status::Pass;
            failed |= status == Status::Fail;
        }
        let status = match (some, failed, passed) {
            (true, _, true) | (false, false, true) => Status::Pass,
            (_, true, _) => Status::Fail,
            _ => Status::Skip,
        };
        if status != Status::Fail {
            failures.truncate(before);
        }
        Ok(status)
    }

    /// Another rule's verdict.
    fn status_of(&self, name: &str, line: u32) -> Result<Status, Problem> {
        let known = self.statuses.borrow().get(name).copied();
        match known {
            Some(Some(status)) => return Ok(status),
            Some(None) => return Err(self.problem(line, format!("rule `{name}` needs itself"))),
            None => {}
        }
        let rule = self.file.rules.iter().find(|rule| rule.name == name);
        let rule = rule.ok_or_else(|| self.problem(line, format!("there is no rule `{name}`")))?;
        let scope = Scope::new(&self.file.lets, self.document, None);
        self.rule(rule, &scope, &mut Failures::unwanted())
    }

    /// Pass if all results hold, or with `some` if one does.
    ///
    /// `asked` is what the clause is about: with `some`, an empty list fails although nothing of it was judged.
    fn verdict(
        &self,
        clause: &'a Clause,
        some: bool,
        asked: &[Found<'a>],
        results: Vec<(Found<'a>, bool)>,
        failures: &mut Failures<'a>,
    ) -> Status {
        let good = results.iter().filter(|(_, holds)| *holds).count();
        let passed = if some { good > 0 } else { good == results.len() };
        if passed {
            return Status::Pass;
        }
        if results.is_empty() {
            let at = asked.first().map(|(Found::Value(at) | Found::Missing(at))| *at);
            failures.push(clause, at, What::HoldsNothing);
        }
        for (found, _) in results.into_iter().filter(|(_, holds)| !holds) {
            match found {
                Found::Value(value) => failures.push(clause, Some(value), What::Is(value)),
                Found::Missing(at) => failures.push(clause, Some(at), What::Missing),
            }
        }
        Status::Fail
    }

    /// Whether a filter or a variable came to anything at all.
    fn ask_collection(
        &self,
        clause: &'a Clause,
        query: &'a Query,
        found: &[Found<'a>],
        negated: bool,
        scope: &Scope<'_, 'a>,
        failures: &mut Failures<'a>,
    ) -> Status {
        if found.is_empty() {
            if negated {
                failures.push(clause, Some(scope.root), What::NothingFound);
                return Status::Fail;
            }
            return Status::Pass;
        }
        let empty = |one: &Found<'_>| match one {
            Found::Value(value) => value.is_null(),
            Found::Missing(_) => true,
        };
        let results = found.iter().map(|one| (*one, empty(one) != negated)).collect();
        self.verdict(clause, query.some, found, results, failures)
    }

    fn failure(&self, failed: &Failed<'a>) -> Failure {
        let Failed { clause, at, what, message } = failed;
        let found = match what {
            What::Is(value) => format!("it is {}", shown(value)),
            What::Missing => "it is missing".to_owned(),
            What::HoldsNothing => "it holds nothing".to_owned(),
            What::NothingFound => "nothing was found".to_owned(),
            What::Rule { name, passes } => {
                format!("rule `{name}` {}", if *passes { "passes" } else { "does not pass" })
            }
        };
        let path = at.map_or_else(String::new, |at| self.path(at));
        Failure { line: clause.line, clause: clause.text.clone(), path, found, message: message.cloned() }
    }

    /// A result for each comparison; nothing if there is nothing to compare on one side.
    fn compare(
        &self,
        left: &[Found<'a>],
        operator: Comparison,
        negated: bool,
        operand: &'a Operand,
        line: u32,
        scope: &Scope<'_, 'a>,
    ) -> Result<Option<Vec<(Found<'a>, bool)>>, Problem> {
        let right = match operand {
            Operand::Literal(literal) => Variable::Literal(literal),
            Operand::Query(query) => match query.parts.as_slice() {
                [Part::Variable(name)] => self.variable(name, line, scope)?,
                _ => Variable::Found(self.query(query, line, scope)?),
            },
        };
        let nothing = matches!(&right, Variable::Found(found) if found.is_empty());
        if left.is_empty() || nothing {
            return Ok(None);
        }
        Ok(Some(match (operator, right) {
            (Comparison::Equal, Variable::Literal(literal)) => against_literal(left, literal, negated),
            (Comparison::In, Variable::Literal(literal)) => in_literal(left, literal, negated),
            (Comparison::Equal, Variable::Found(right)) => against_found(left, &right, negated),
            (Comparison::In, Variable::Found(right)) => in_found(left, &right, negated),
            (operator, right) => by_order(left, &right, operator, negated),
        }))
    }

    fn query(&self, query: &'a Query, line: u32, scope: &Scope<'_, 'a>) -> Result<Vec<Found<'a>>, Problem> {
        let (start, parts) = match query.parts.as_slice() {
            [Part::Variable(name), rest @ ..] => match self.variable(name, line, scope)? {
                // An index of everything right after a variable changes nothing: it holds what was found.
                Variable::Found(found) => (
                    found,
                    match rest {
                        [Part::AllIndices, rest @ ..] => rest,
                        rest => rest,
                    },
                ),
                Variable::Literal(_) => {
                    let what = format!("`%{name}` is a literal; write it on the right side of a comparison");
                    return Err(self.problem(line, what));
                }
            },
            parts => (vec![Found::Value(scope.root)], parts),
        };
        let mut out = Vec::new();
        let after_variable = !matches!(query.parts.first(), Some(Part::Key(_) | Part::This | Part::AllValues));
        for found in start {
            match found {
                Found::Value(value) => self.walk(value, parts, after_variable, line, scope, &mut out)?,
                Found::Missing(at) => out.push(Found::Missing(at)),
            }
        }
        Ok(out)
    }

    /// Follows the parts from a value. `each` says that the value is one of several: a filter then judges it itself.
    fn walk(
        &self,
        value: &'a Json,
        parts: &'a [Part],
        each: bool,
        line: u32,
        scope: &Scope<'_, 'a>,
        out: &mut Vec<Found<'a>>,
    ) -> Result<(), Problem> {
        let Some((part, rest)) = parts.split_first() else {
            out.push(Found::Value(value));
            return Ok(());
        };
        let mut step = |next: Option<&'a Json>, each: bool| match next {
            Some(next) => self.walk(next, rest, each, line, scope, out),
            None => {
                out.push(Found::Missing(value));
                Ok(())
            }
        };
        match (part, value) {
            (Part::This, _) => step(Some(value), each),
            (Part::Variable(_), _) => {
                Err(self.problem(line, "a variable inside of a path is not supported".to_owned()))
            }
            (Part::Key(key), _) => step(value.as_object().and_then(|map| map.get(key)), false),
            (Part::Index(index), _) => step(item(value, *index), false),
            (Part::AllIndices | Part::AllValues, Json::Array(items)) => {
                if items.is_empty() {
                    step(None, true)
                } else {
                    items.iter().try_for_each(|item| step(Some(item), true))
                }
            }
            (Part::AllValues, Json::Object(map)) => {
                if map.is_empty() {
                    step(None, true)
                } else {
                    map.values().try_for_each(|value| step(Some(value), true))
                }
            }
            // Where a list is accepted, a single value often is.
            (Part::AllIndices | Part::AllValues, _) => step(Some(value), true),
            (Part::Filter(filter), Json::Array(items)) => {
                let chosen = items.iter().filter_map(|item| self.chosen(filter, item, scope).transpose());
                chosen.into_iter().try_for_each(|item| step(Some(item?), true))
            }
            (Part::Filter(filter), Json::Object(map)) if !each => {
                let chosen = map.values().filter_map(|value| self.chosen(filter, value, scope).transpose());
                chosen.into_iter().try_for_each(|value| step(Some(value?), true))
            }
            (Part::Filter(filter), _) if each => {
                let chosen = self.chosen(filter, value, scope)?;
                chosen.map_or(Ok(()), |value| step(Some(value), true))
            }
            (Part::Filter(_), _) => step(None, false),
            (Part::Keys { operator, negated, operand }, Json::Object(map)) => {
                for (key, value) in map {
                    if self.key_fits(key, *operator, *negated, operand, line, scope)? {
                        step(Some(value), true)?;
                    }
                }
                Ok(())
            }
            (Part::Keys { .. }, _) => step(None, false),
        }
    }

    /// The value, if the filter holds for it.
    fn chosen(
        &self,
        filter: &'a Conjunction,
        value: &'a Json,
        scope: &Scope<'_, 'a>,
    ) -> Result<Option<&'a Json>, Problem> {
        if is_of_another_kind(filter, value) {
            return Ok(None);
        }
        let inside = Scope::new(&[], value, Some(scope));
        let status = self.conjunction(filter, &inside, &mut Failures::unwanted())?;
        Ok((status == Status::Pass).then_some(value))
    }

    fn key_fits(
        &self,
        key: &str,
        operator: Comparison,
        negated: bool,
        operand: &'a Operand,
        line: u32,
        scope: &Scope<'_, 'a>,
    ) -> Result<bool, Problem> {
        let key = Json::String(key.to_owned());
        let literal = match operand {
            Operand::Literal(literal) => literal,
            Operand::Query(query) => match query.parts.as_slice() {
                [Part::Variable(name)] => match self.variable(name, line, scope)? {
                    Variable::Literal(literal) => literal,
                    Variable::Found(found) => {
                        let named = found.iter().any(|one| matches!(one, Found::Value(value) if **value == key));
                        return Ok(named != negated);
                    }
                },
                _ => return Err(self.problem(line, "`keys` is compared with a literal or a variable only".to_owned())),
            },
        };
        let fits = match (operator, literal) {
            (Comparison::In, Literal::List(items)) => items.iter().any(|item| same(&key, item)),
            _ => same(&key, literal),
        };
        Ok(fits != negated)
    }

    fn variable(&self, name: &str, line: u32, scope: &Scope<'_, 'a>) -> Result<Variable<'a>, Problem> {
        if let Some(known) = scope.known.borrow().get(name) {
            return Ok(known.clone());
        }
        let Some(assignment) = scope.lets.iter().find(|one| one.name == name) else {
            let around = scope.around.ok_or_else(|| self.problem(line, format!("there is no variable `%{name}`")))?;
            return self.variable(name, line, around);
        };
        let value = match &assignment.value {
            Operand::Literal(literal) => Variable::Literal(literal),
            Operand::Query(query) => {
                // A variable that needs itself would go on for ever.
                let itself = matches!(query.parts.first(), Some(Part::Variable(first)) if first == name);
                if itself {
                    return Err(self.problem(line, format!("variable `%{name}` needs itself")));
                }
                let mut found = self.query(query, line, scope)?;
                if query.some {
                    found.retain(|one| matches!(one, Found::Value(_)));
                }
                Variable::Found(found)
            }
        };
        scope.known.borrow_mut().insert(&assignment.name, value.clone());
        Ok(value)
    }

    /// Where in the document a value stands.
    fn path(&self, value: &Json) -> String {
        fn find(node: &Json, wanted: &Json, path: &mut Vec<String>) -> bool {
            if std::ptr::eq(node, wanted) {
                return true;
            }
            let children: Box<dyn Iterator<Item = (String, &Json)>> = match node {
                Json::Object(map) => Box::new(map.iter().map(|(name, value)| (name.clone(), value))),
                Json::Array(items) => Box::new(items.iter().enumerate().map(|(at, item)| (at.to_string(), item))),
                _ => return false,
            };
            for (name, child) in children {
                path.push(name);
                if find(child, wanted, path) {
                    return true;
                }
                path.pop();
            }
            false
        }
        let mut path = Vec::new();
        find(self.document, value, &mut path);
        path.join("/")
    }
}

/// Most filters begin with `Type == '…'` and most resources are of another type: this is the short way to say no.
fn is_of_another_kind(filter: &Conjunction, value: &Json) -> bool {
    let Some([Clause { kind: ClauseKind::Compare { query, operator, negated, operand }, .. }]) =
        filter.first().map(Vec::as_slice)
    else {
        return false;
    };
    match (query.parts.as_slice(), operator, negated, operand) {
        ([Part::Key(key)], Comparison::Equal, false, Operand::Literal(Literal::Json(Json::String(wanted)))) => {
            value.get(key).and_then(Json::as_str).is_some_and(|found| found != wanted)
        }
        _ => false,
    }
}

fn item(value: &Json, index: i64) -> Option<&Json> {
    let items = value.as_array()?;
    // An index below zero counts from the start too, as `cfn-guard` has it.
    items.get(usize::try_from(index.unsigned_abs()).ok()?)
}

/// Whether `empty` is about what was found, not about each value.
fn is_collection(query: &Query) -> bool {
    matches!(query.parts.as_slice(), [Part::Variable(_)] | [.., Part::Filter(_) | Part::Keys { .. }])
}

/// The answer; nothing if the question makes no sense.
fn ask(found: Found<'_>, question: Question) -> Option<bool> {
    let Found::Value(value) = found else { return Some(question == Question::Empty) };
    Some(match question {
        Question::Exists => true,
        Question::Empty => match value {
            Json::Array(items) => items.is_empty(),
            Json::Object(map) => map.is_empty(),
            Json::String(text) => text.is_empty(),
            Json::Bool(_) => false,
            Json::Null | Json::Number(_) => return None,
        },
        Question::IsString => value.is_string(),
        Question::IsList => value.is_array(),
        Question::IsStruct => value.is_object(),
        Question::IsBool => value.is_boolean(),
        Question::IsInt => value.is_i64(),
        Question::IsFloat => value.is_f64(),
        Question::IsNull => value.is_null(),
    })
}

/// A result that holds if the answer is yes, or no when negated; what can't be compared holds never.
fn judged<'a>(value: &'a Json, answer: Option<bool>, negated: bool) -> (Found<'a>, bool) {
    (Found::Value(value), answer.is_some_and(|answer| answer != negated))
}

/// Calls `judge` for each value; what is missing fails.
fn for_each<'a>(
    left: &[Found<'a>],
    mut judge: impl FnMut(&'a Json, &mut Vec<(Found<'a>, bool)>),
) -> Vec<(Found<'a>, bool)> {
    let mut results = Vec::with_capacity(left.len());
    for found in left {
        match found {
            Found::Value(value) => judge(value, &mut results),
            Found::Missing(_) => results.push((*found, false)),
        }
    }
    results
}

fn against_literal<'a>(left: &[Found<'a>], literal: &Literal, negated: bool) -> Vec<(Found<'a>, bool)> {
    for_each(left, |value, results| match (value, literal) {
        (Json::Array(_), Literal::List(_)) => results.push(judged(value, equal(value, literal), negated)),
        (_, Literal::List(items)) => {
            // A single value stands for a list of one.
            let answer = match items.as_slice() {
                [only] if !value.is_object() => equal(value, only),
                _ => equal(value, literal),
            };
            results.push(judged(value, answer, negated));
        }
        (Json::Array(values), _) => {
            results.extend(values.iter().map(|value| judged(value, equal(value, literal), negated)));
        }
        _ => results.push(judged(value, equal(value, literal), negated)),
    })
}

fn in_literal<'a>(left: &[Found<'a>], literal: &Literal, negated: bool) -> Vec<(Found<'a>, bool)> {
    let within = |value: &Json, text: &str| value.as_str().map(|part| text.contains(part));
    for_each(left, |value, results| match (value, literal) {
        (Json::Array(values), Literal::Json(Json::String(text))) => {
            results.extend(values.iter().map(|value| judged(value, within(value, text), negated)));
        }
        (_, Literal::Json(Json::String(text))) => results.push(judged(value, within(value, text), negated)),
        (Json::Array(values), Literal::List(items)) => {
            let listed = |value: &Json| items.iter().any(|item| same(value, item));
            let holds = match (items.first(), negated) {
                (Some(Literal::List(_)), negated) => listed(value) != negated,
                (_, false) => values.iter().all(listed),
                // None may be listed; an empty list counts as listed, as `cfn-guard` has it.
                (_, true) => !values.is_empty() && !values.iter().any(listed),
            };
            results.push((Found::Value(value), holds));
        }
        (_, Literal::List(items)) => {
            let contained = items.iter().any(|item| same(value, item));
            results.push(judged(value, Some(contained), negated));
        }
        (Json::Array(_), _) => results.push((Found::Value(value), false)),
        _ => results.push(judged(value, equal(value, literal), negated)),
    })
}

/// Both sides were found: they are compared as sets.
fn against_found<'a>(left: &[Found<'a>], right: &[Found<'a>], negated: bool) -> Vec<(Found<'a>, bool)> {
    let (values, right, mut results) = split(left, right);
    let known = |set: &[&'a Json], one: &Json| set.iter().any(|other| equal_json(one, other).unwrap_or(false));
    let (larger, smaller) = if values.len() > right.len() { (&values, &right) } else { (&right, &values) };
    let different: Vec<&'a Json> = larger.iter().copied().filter(|one| !known(smaller, one)).collect();
    if different.is_empty() {
        results.extend(values.iter().map(|value| (Found::Value(value), !negated)));
    } else if negated {
        let side = if right.len() >= values.len() { &right } else { &values };
        let common: Vec<&'a Json> = side.iter().copied().filter(|one| !known(&different, one)).collect();
        if common.is_empty() {
            results.extend(values.iter().map(|value| (Found::Value(value), true)));
        }
        results.extend(common.into_iter().map(|value| (Found::Value(value), false)));
    } else {
        results.extend(different.into_iter().map(|value| (Found::Value(value), false)));
    }
    results
}

fn in_found<'a>(left: &[Found<'a>], right: &[Found<'a>], negated: bool) -> Vec<(Found<'a>, bool)> {
    let (values, right, mut results) = split(left, right);
    let contained = |value: &Json| right.iter().any(|one| contains(one, value));
    let (inside, outside): (Vec<&Json>, Vec<&Json>) = values.iter().copied().partition(|value| contained(value));
    let bad = if negated { &inside } else { &outside };
    if bad.is_empty() {
        results.extend(values.iter().map(|value| (Found::Value(value), true)));
    }
    results.extend(bad.iter().map(|value| (Found::Value(value), false)));
    results
}

fn contains(set: &Json, value: &Json) -> bool {
    let is = |one: &Json, other: &Json| equal_json(one, other).unwrap_or(false);
    match (set, value) {
        (Json::Array(items), Json::Array(values)) if !matches!(items.first(), Some(Json::Array(_))) => {
            values.iter().all(|value| items.iter().any(|item| is(item, value)))
        }
        (Json::Array(items), value) => items.iter().any(|item| is(item, value)),
        (_, Json::Array(_)) => false,
        (set, value) => is(set, value),
    }
}

fn by_order<'a>(
    left: &[Found<'a>],
    right: &Variable<'_>,
    operator: Comparison,
    negated: bool,
) -> Vec<(Found<'a>, bool)> {
    let mut wanted: Vec<&Json> = Vec::new();
    let mut missing = 0;
    match right {
        Variable::Literal(Literal::Json(json)) => wanted.push(json),
        Variable::Literal(Literal::List(items)) => {
            wanted
                .extend(items.iter().filter_map(|item| if let Literal::Json(json) = item { Some(json) } else { None }));
        }
        Variable::Literal(_) => missing += 1,
        Variable::Found(found) => {
            for one in found {
                match one {
                    Found::Value(Json::Array(items)) => wanted.extend(items),
                    Found::Value(value) => wanted.push(value),
                    Found::Missing(_) => missing += 1,
                }
            }
        }
    }
    for_each(left, |value, results| {
        let single = std::slice::from_ref(value);
        for value in value.as_array().map_or(single, Vec::as_slice) {
            results.extend((0..missing).map(|_| (Found::Value(value), false)));
            results.extend(wanted.iter().map(|wanted| judged(value, ordered(value, wanted, operator), negated)));
        }
    })
}

type Sides<'a> = (Vec<&'a Json>, Vec<&'a Json>, Vec<(Found<'a>, bool)>);

/// Values of both sides, and results for what is missing on either.
fn split<'a>(left: &[Found<'a>], right: &[Found<'a>]) -> Sides<'a> {
    let mut results = Vec::new();
    let mut values = Vec::new();
    for found in left {
        match found {
            Found::Value(value) => values.push(*value),
            Found::Missing(_) => results.push((*found, false)),
        }
    }
    let mut wanted = Vec::new();
    for found in right {
        match found {
            Found::Value(value) => wanted.push(*value),
            Found::Missing(_) => results.extend(values.iter().map(|value| (Found::Value(value), false))),
        }
    }
    (values, wanted, results)
}

fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
