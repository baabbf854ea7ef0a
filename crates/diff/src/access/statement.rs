//! Statements of policies, taken apart into what can be compared.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::condition::{Demand, demands};
use super::pattern::{Pattern, Scope};
use super::sources::Kind;
use crate::model::{Flag, code};
use crate::pieces::{Resolve, canonical, is_intrinsic, is_no_value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// One action of one principal on one resource under some conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Atom {
    pub(crate) effect: Effect,
    /// Whom it is about; of an identity's own policy, the holder.
    pub(crate) principal: Scope,
    /// In lower case: IAM doesn't tell cases apart.
    pub(crate) action: Scope,
    /// The action as it is written.
    pub(crate) action_text: Rc<str>,
    pub(crate) resource: Scope,
    /// All of them have to hold.
    pub(crate) conditions: Rc<[Demand]>,
    /// Something that can't be read here; then it equals only itself, and nothing else counts.
    pub(crate) opaque: Option<String>,
}

/// Keys by which a statement for everybody is only for some.
const NARROWING: [&str; 12] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
];

impl Atom {
    /// Something that can't be read here.
    pub(crate) fn opaque(effect: Effect, text: String) -> Self {
        let nothing = || Scope::Of(Pattern::text(""));
        Self {
            effect,
            principal: nothing(),
            action: nothing(),
            action_text: "".into(),
            resource: nothing(),
            conditions: Rc::new([]),
            opaque: Some(text),
        }
    }

    /// Makes it hang on a condition of the template, of which only a deployment knows whether it holds.
    pub(crate) fn depend_on(&mut self, condition: &str) {
        if let Some(opaque) = &mut self.opaque {
            opaque.push_str(&format!(" if condition {condition}"));
            return;
        }
        // As a demand that nothing else fulfils.
        let demand = Demand::new("condition", condition, vec![Pattern::text("holds")]);
        let mut demands: Vec<Demand> = self.conditions.iter().cloned().chain([demand]).collect();
        demands.sort_unstable();
        self.conditions = demands.into();
    }

    /// Whether whatever `other` is about is also what this one is about.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if self.opaque.is_some() || other.opaque.is_some() {
            return self.opaque == other.opaque;
        }
        self.effect == other.effect
            && self.action.covers(&other.action)
            && self.resource.covers(&other.resource)
            && covers_principal(&self.principal, &other.principal)
            && self.conditions.iter().all(|weak| other.conditions.iter().any(|strong| strong.implies(weak)))
    }

    /// What deserves a second look, given that it is newly allowed.
    pub(crate) fn flags(&self, kind: Kind) -> Vec<Flag> {
        if self.opaque.is_some() {
            return vec![Flag::Opaque];
        }
        let mut flags = Vec::new();
        if matches!(&self.action, Scope::Of(action) if action.has_wildcard()) {
            flags.push(Flag::WildcardAction);
        }
        if kind == Kind::Identity && matches!(&self.resource, Scope::Of(resource) if resource.is_any()) {
            flags.push(Flag::WildcardResource);
        }
        if [&self.principal, &self.action, &self.resource].iter().any(|scope| matches!(scope, Scope::Except(_))) {
            flags.push(Flag::ByExclusion);
        }
        let demands =
            |keys: &[&str]| self.conditions.iter().any(|demand| demand.is_positive() && demand.is_about(keys));
        if matches!(&self.principal, Scope::Of(principal) if principal.is_any()) && !demands(&NARROWING) {
            flags.push(Flag::PublicPrincipal);
        }
        if kind == Kind::Function && self.principal.to_string().starts_with("Service:") {
            if !demands(&["aws:sourcearn"]) {
                flags.push(Flag::NoSourceArn);
            }
            if !demands(&["aws:sourceaccount"]) {
                flags.push(Flag::NoSourceAccount);
            }
        }
        flags
    }
}

/// As [`Scope::covers`], but nobody is outside of an exclusion for sure: an account's root stands for its roles too.
fn covers_principal(outer: &Scope, inner: &Scope) -> bool {
    outer == inner || (!matches!((outer, inner), (Scope::Except(_), Scope::Of(_))) && outer.covers(inner))
}

/// Takes a statement apart.
pub(crate) fn atoms(statement: &Value, kind: Kind, resolve: Resolve<'_>) -> Vec<Atom> {
    let Some(map) = statement.as_object().filter(|_| !is_intrinsic(statement)) else {
        return vec![Atom::opaque(Effect::Allow, canonical(statement, resolve).to_string())];
    };
    let effect = match map.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return vec![Atom::opaque(Effect::Allow, canonical(statement, resolve).to_string())],
    };
    let lists = |positive: &str, negative: &str, absent: Pattern, read: &dyn Fn(&Value) -> Vec<Pattern>| match (
        map.get(positive),
        map.get(negative),
    ) {
        (Some(value), _) => read(value).into_iter().map(Scope::Of).collect(),
        (None, Some(value)) => {
            let mut out = read(value);
            out.sort_unstable();
            vec![Scope::Except(out)]
        }
        (None, None) => vec![Scope::Of(absent)],
    };
    let texts = |value: &Value| list(value).map(|value| Pattern::of(value, resolve)).collect();
    let whom = |value: &Value| principals(value, resolve);
    let subject = if kind == Kind::Identity { "the holder" } else { "nobody" };
    let principals = lists("Principal", "NotPrincipal", Pattern::unknown(subject), &whom);
    let actions = lists("Action", "NotAction", Pattern::unknown("no action"), &texts);
    let resources = lists("Resource", "NotResource", Pattern::unknown("itself"), &texts);
    let condition = map.get("Condition").filter(|condition| !is_no_value(condition));
    let conditions = condition.map(|condition| demands(condition, resolve)).unwrap_or_default();
    if condition.is_some_and(is_unread) {
        return vec![Atom::opaque(effect, canonical(statement, resolve).to_string())];
    }
    let conditions: Rc<[Demand]> = conditions.into();
    let actions: Vec<(Scope, Rc<str>)> =
        actions.iter().map(|action| (action.lower(), Rc::from(action.to_string()))).collect();
    let mut atoms = Vec::with_capacity(principals.len() * actions.len() * resources.len());
    for principal in &principals {
        for (action, text) in &actions {
            for resource in &resources {
                atoms.push(Atom {
                    effect,
                    principal: principal.clone(),
                    action: action.clone(),
                    action_text: Rc::clone(text),
                    resource: resource.clone(),
                    conditions: Rc::clone(&conditions),
                    opaque: None,
                });
            }
        }
    }
    atoms
}

/// Whether a condition, or what one of its operators is about, is only known to CloudFormation.
fn is_unread(condition: &Value) -> bool {
    is_intrinsic(condition) || condition.as_object().is_none_or(|map| map.values().any(is_intrinsic))
}

/// One value or a list of them.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter(|item| !is_no_value(item))
}

/// Principals with their kind before them; `*` is everybody.
fn principals(value: &Value, resolve: Resolve<'_>) -> Vec<Pattern> {
    if is_intrinsic(value) || !value.is_object() {
        return list(value).map(|value| account(Pattern::of(value, resolve))).collect();
    }
    let mut found = Vec::new();
    for (kind, values) in value.as_object().into_iter().flatten() {
        for value in list(values) {
            let pattern = Pattern::of(value, resolve);
            found.push(match kind.as_str() {
                "AWS" if pattern.is_any() => pattern,
                "AWS" => account(pattern),
                kind => pattern.after(&format!("{kind}:")),
            });
        }
    }
    found
}

/// An account's number means the account's root.
fn account(pattern: Pattern) -> Pattern {
    let is_number = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let bare_pseudo = pattern == Pattern::unknown("AWS::AccountId");
    match pattern.as_text().filter(|text| is_number(text)) {
        Some(number) => Pattern::text(&format!("AWS:arn:aws:iam::{number}:root")),
        None if bare_pseudo => {
            let root = serde_json::json!({ "Fn::Sub": "AWS:arn:aws:iam::${AWS::AccountId}:root" });
            Pattern::of(&root, &crate::pieces::unresolved)
        }
        None if pattern.is_any() => pattern,
        None => pattern.after("AWS:"),
    }
}

/// What atoms of one matter have in common: principal, resource, conditions, or something that can't be read.
type Matter<'a> = (&'a Scope, &'a Scope, &'a [Demand], Option<&'a str>);

/// Says what atoms are about, with the actions of one matter together.
pub(crate) fn describe(atoms: &[Atom], verb: &str) -> Vec<String> {
    let mut grouped: BTreeMap<Matter<'_>, Vec<String>> = BTreeMap::new();
    for atom in atoms {
        let key = (&atom.principal, &atom.resource, &*atom.conditions, atom.opaque.as_deref());
        grouped.entry(key).or_default().push(code(&atom.action_text));
    }
    let mut texts = Vec::new();
    for ((principal, resource, conditions, opaque), mut actions) in grouped {
        if let Some(opaque) = opaque {
            texts.push(format!("{verb} {}", code(opaque)));
            continue;
        }
        actions.sort_unstable();
        actions.dedup();
        let mut text = format!("{verb} {}", actions.join(", "));
        let itself = Scope::Of(Pattern::unknown("itself"));
        if *resource != itself {
            text.push_str(&format!(" on {}", code(&resource.to_string())));
        }
        if *principal != Scope::Of(Pattern::unknown("the holder")) {
            text.push_str(&format!(" to {}", code(&principal.to_string())));
        }
        if !conditions.is_empty() {
            let conditions: Vec<String> = conditions.iter().map(Demand::to_string).collect();
            text.push_str(&format!(" if {}", conditions.join(" and ")));
        }
        texts.push(text);
    }
    texts
}
