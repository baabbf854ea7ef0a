//! Conditions of statements: which of them demand more.

use serde_json::Value;

use super::cidr::Cidr;
use super::pattern::Pattern;
use crate::model::code;
use crate::pieces::Resolve;

/// One demand: a key's value compared with some values, one of which has to fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demand {
    operator: String,
    key: String,
    values: Vec<Pattern>,
}

/// An operator taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operator<'a> {
    /// `ForAllValues`, `ForAnyValue` or nothing.
    set: &'a str,
    base: &'a str,
    if_exists: bool,
}

/// How values of one operator contain values of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Texts,
    Patterns,
    /// Patterns, compared between colons: there a `*` spans none.
    Arns,
    Addresses,
    /// Only equal lists are comparable.
    Exactly,
}

/// The demands of a statement's `Condition`.
pub(crate) fn demands(condition: &Value, resolve: Resolve<'_>) -> Vec<Demand> {
    let mut demands = Vec::new();
    for (operator, keys) in condition.as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().into_iter().flatten() {
            let values: Vec<&Value> = values.as_array().map_or_else(|| vec![values], |list| list.iter().collect());
            let pattern = |value: &&Value| match comparison(split(operator).base) {
                (Comparison::Patterns | Comparison::Arns, _) => Pattern::of(value, resolve),
                _ => Pattern::literal(value, resolve),
            };
            demands.push(Demand::new(operator, key, values.iter().map(pattern).collect()));
        }
    }
    demands.sort_unstable();
    demands
}

impl Demand {
    pub(crate) fn new(operator: &str, key: &str, mut values: Vec<Pattern>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self { operator: operator.to_owned(), key: key.to_owned(), values }
    }

    /// Whether it is about one of these keys, which are in lower case.
    pub(crate) fn is_about(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.key.eq_ignore_ascii_case(key))
    }

    /// Whether it lets in only what it names.
    pub(crate) fn is_positive(&self) -> bool {
        let operator = split(&self.operator);
        let (comparison, negated) = comparison(operator.base);
        // `ForAllValues` also holds where there is no value.
        let needs_value = !operator.if_exists && !operator.set.eq_ignore_ascii_case("ForAllValues");
        !negated && needs_value && comparison != Comparison::Exactly && !self.values.iter().any(Pattern::is_any)
    }

    /// Whether whatever fulfils this demand fulfils `other`. `false` also where that can't be shown.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        let (mine, its) = (split(&self.operator), split(&other.operator));
        if !self.key.eq_ignore_ascii_case(&other.key) || mine.set != its.set || (mine.if_exists && !its.if_exists) {
            return false;
        }
        let ((my_way, my_not), (its_way, its_not)) = (comparison(mine.base), comparison(its.base));
        if my_way == Comparison::Exactly || its_way == Comparison::Exactly {
            return mine.base == its.base && self.values == other.values;
        }
        let same_kind =
            [Comparison::Addresses, Comparison::Arns].iter().all(|way| (my_way == *way) == (its_way == *way));
        let same_case = (mine.base.ends_with("IgnoreCase")) == (its.base.ends_with("IgnoreCase"));
        if my_not != its_not || !same_kind || !same_case {
            return false;
        }
        let (inner, outer) = if my_not { (&other.values, &self.values) } else { (&self.values, &other.values) };
        inner.iter().all(|inner| outer.iter().any(|outer| contains(my_way, outer, inner)))
    }
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values: Vec<String> = self.values.iter().map(Pattern::to_string).collect();
        f.write_str(&code(&format!("{} {} {}", self.operator, self.key, values.join(" | "))))
    }
}

fn split(operator: &str) -> Operator<'_> {
    let (set, base) = operator.split_once(':').unwrap_or(("", operator));
    match base.strip_suffix("IfExists") {
        Some(base) => Operator { set, base, if_exists: true },
        None => Operator { set, base, if_exists: false },
    }
}

/// How an operator compares, and whether it is negated.
fn comparison(base: &str) -> (Comparison, bool) {
    match base {
        "StringEquals" | "StringEqualsIgnoreCase" => (Comparison::Texts, false),
        "StringNotEquals" | "StringNotEqualsIgnoreCase" => (Comparison::Texts, true),
        "StringLike" => (Comparison::Patterns, false),
        "StringNotLike" => (Comparison::Patterns, true),
        // Both operators for ARNs take wildcards.
        "ArnLike" | "ArnEquals" => (Comparison::Arns, false),
        "ArnNotLike" | "ArnNotEquals" => (Comparison::Arns, true),
        "IpAddress" => (Comparison::Addresses, false),
        "NotIpAddress" => (Comparison::Addresses, true),
        _ => (Comparison::Exactly, false),
    }
}

fn contains(way: Comparison, outer: &Pattern, inner: &Pattern) -> bool {
    if way == Comparison::Addresses {
        let cidr = |pattern: &Pattern| pattern.as_text().and_then(|text| Cidr::parse(&text));
        return match (cidr(outer), cidr(inner)) {
            (Some(outer), Some(inner)) => outer.covers(inner),
            _ => outer == inner,
        };
    }
    if way == Comparison::Arns { outer.covers_arn(inner) } else { outer.covers(inner) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_demand_implies_weaker_ones() {
        for (stronger, weaker, expected) in [
            (json!({"StringEquals": {"k": "a"}}), json!({"StringEquals": {"k": ["a", "b"]}}), true),
            (json!({"StringEquals": {"k": ["a", "b"]}}), json!({"StringEquals": {"k": "a"}}), false),
            (json!({"StringEquals": {"K": "a"}}), json!({"StringEquals": {"k": "a"}}), true),
            (json!({"StringEquals": {"k": "a/b"}}), json!({"StringLike": {"k": "a/*"}}), true),
            (json!({"StringLike": {"k": "a/*"}}), json!({"StringEquals": {"k": "a/*"}}), false),
            (json!({"StringEquals": {"k": "a/*"}}), json!({"StringEquals": {"k": "a/*"}}), true),
            (json!({"StringNotEquals": {"k": ["a", "b"]}}), json!({"StringNotEquals": {"k": "a"}}), true),
            (json!({"StringNotEquals": {"k": "a"}}), json!({"StringNotEquals": {"k": ["a", "b"]}}), false),
            (json!({"StringEquals": {"k": "a"}}), json!({"StringEqualsIfExists": {"k": "a"}}), true),
            (json!({"StringEqualsIfExists": {"k": "a"}}), json!({"StringEquals": {"k": "a"}}), false),
            (json!({"IpAddress": {"k": "10.1.0.0/16"}}), json!({"IpAddress": {"k": "10.0.0.0/8"}}), true),
            (json!({"NotIpAddress": {"k": "10.0.0.0/8"}}), json!({"NotIpAddress": {"k": "10.1.0.0/16"}}), true),
            (json!({"Bool": {"k": "true"}}), json!({"Bool": {"k": true}}), true),
            (json!({"Bool": {"k": "true"}}), json!({"Bool": {"k": "false"}}), false),
            (json!({"ArnLike": {"k": "arn:x:1"}}), json!({"ArnEquals": {"k": "arn:x:*"}}), true),
            (json!({"ForAllValues:StringEquals": {"k": "a"}}), json!({"StringEquals": {"k": "a"}}), false),
            (json!({"ArnEquals": {"k": "arn:x:*"}}), json!({"ArnLike": {"k": "arn:x:*"}}), true),
            (json!({"ArnLike": {"k": "arn:x:*"}}), json!({"StringLike": {"k": "arn:x:*"}}), false),
            (json!({"StringLike": {"k": "arn:x:*"}}), json!({"ArnLike": {"k": "arn:x:*"}}), false),
            (json!({"StringNotLike": {"k": "arn:x:*"}}), json!({"ArnNotLike": {"k": "arn:x:*"}}), false),
            (json!({"ArnLike": {"k": "arn:a:b:c:1:d"}}), json!({"ArnLike": {"k": "arn:a:*:1:d"}}), false),
            (json!({"ArnLike": {"k": "arn:a:b:c:1:d:e"}}), json!({"ArnLike": {"k": "arn:a:b:*:1:d*"}}), true),
        ] {
            let one = |value| demands(value, &crate::pieces::unresolved).remove(0);
            assert_eq!(one(&stronger).implies(&one(&weaker)), expected, "{stronger} {weaker}");
        }
    }

    #[test]
    fn a_demand_that_holds_without_a_value_lets_in_more_than_it_names() {
        for (operator, expected) in [
            ("StringEquals", true),
            ("ArnLike", true),
            ("ForAnyValue:StringEquals", true),
            ("ForAllValues:StringEquals", false),
            ("StringEqualsIfExists", false),
            ("StringNotEquals", false),
        ] {
            let demand = Demand::new(operator, "aws:PrincipalOrgID", vec![Pattern::text("o-1")]);
            assert_eq!(demand.is_positive(), expected, "{operator}");
        }
    }
}
