//! Values of parameters before and after, and what conditions make of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::input::{ParameterValue, StackChange};
use crate::model::code;
use crate::pieces::{Piece, intrinsic, pieces};
use crate::template::Template;

/// One side of a change: its template and what its parameters are.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) template: Option<&'a Template>,
    values: &'a BTreeMap<String, ParameterValue>,
    region: &'a str,
    /// What this side is called.
    word: &'static str,
}

/// How a parameter's value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueChange {
    /// Whether it differs at all is known only later.
    pub(crate) is_possible: bool,
    /// In words.
    pub(crate) because: String,
}

impl<'a> Side<'a> {
    pub(crate) fn before(stack: &'a StackChange<'_>) -> Self {
        Self { template: stack.before, values: &stack.parameters_before, region: &stack.key.region, word: "old" }
    }

    pub(crate) fn after(stack: &'a StackChange<'_>) -> Self {
        Self { template: stack.after, values: &stack.parameters_after, region: &stack.key.region, word: "new" }
    }

    /// The same side with another form of its template.
    pub(crate) fn with_template(self, template: Option<&'a Template>) -> Self {
        Self { template, ..self }
    }

    /// What this side is called.
    pub(crate) fn word(self) -> &'static str {
        self.word
    }

    pub(crate) fn declaration(self, name: &str) -> Option<&'a Value> {
        self.template?.section("Parameters").get(name)
    }

    /// The value of a parameter, or of the pseudo parameter that a region decides.
    pub(crate) fn value(self, name: &str) -> Option<String> {
        if name == "AWS::Region" {
            return Some(self.region.to_owned());
        }
        let declaration = self.declaration(name)?;
        match self.values.get(name) {
            Some(ParameterValue::Known(value)) => Some(value.clone()),
            Some(ParameterValue::KnownAfterApply) => None,
            None => {
                let is_looked_up = declaration["Type"].as_str().is_some_and(|name| name.contains("::SSM::Parameter::"));
                let default = declaration.get("Default").filter(|_| !is_looked_up)?;
                crate::pieces::scalar_text(default).map(std::borrow::Cow::into_owned)
            }
        }
    }

    /// As [`Self::value`], for what is shown: of a parameter that isn't echoed only whether it differs from `other`.
    pub(crate) fn shown_value(self, name: &str, other: Self) -> Option<String> {
        if !self.is_secret(name) && !other.is_secret(name) {
            return self.value(name);
        }
        let mine = self.value(name)?;
        let differs = other.value(name).is_some_and(|its| its != mine);
        differs.then(|| format!("({} value of {name})", self.word))
    }

    pub(crate) fn is_known_later(self, name: &str) -> bool {
        self.values.get(name) == Some(&ParameterValue::KnownAfterApply)
    }

    /// Whether a parameter's value must not be seen.
    pub(crate) fn is_secret(self, name: &str) -> bool {
        let no_echo = self.declaration(name).and_then(|declaration| declaration.get("NoEcho"));
        no_echo.is_some_and(|no_echo| *no_echo == true || *no_echo == "true")
    }

    /// What a condition of the template comes to, where that can be known.
    pub(crate) fn condition(self, name: &str) -> Option<bool> {
        // Conditions can't refer to themselves in a template that CloudFormation took; one that does ends here.
        self.evaluate(self.template?.section("Conditions").get(name)?, 32)
    }

    fn evaluate(self, condition: &Value, depth: u8) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        if let Some(name) = condition.get("Condition").and_then(Value::as_str) {
            return self.evaluate(self.template?.section("Conditions").get(name)?, depth);
        }
        let (function, argument) = intrinsic(condition)?;
        let arguments = argument.as_array()?;
        match (function, arguments.as_slice()) {
            ("Fn::Equals", [left, right]) => match (self.text(left), self.text(right)) {
                (Some(left), Some(right)) => Some(left == right),
                _ => (left == right).then_some(true),
            },
            ("Fn::Not", [one]) => self.evaluate(one, depth).map(|holds| !holds),
            ("Fn::And", all) => self.decide(all, false, depth),
            ("Fn::Or", any) => self.decide(any, true, depth),
            _ => None,
        }
    }

    /// What several conditions come to, of which one that is `deciding` decides; an unknown one may be that.
    fn decide(self, conditions: &[Value], deciding: bool, depth: u8) -> Option<bool> {
        let results: Vec<Option<bool>> = conditions.iter().map(|one| self.evaluate(one, depth)).collect();
        if results.contains(&Some(deciding)) {
            return Some(deciding);
        }
        (!results.contains(&None)).then_some(!deciding)
    }

    /// A value as text, where it is known.
    pub(crate) fn text(self, value: &Value) -> Option<String> {
        match pieces(value, &|name| self.value(name)).as_slice() {
            [Piece::Literal(text)] => Some(text.to_string()),
            _ => None,
        }
    }
}

/// How the value of a parameter that both templates have differs; nothing if it doesn't.
pub(crate) fn value_change(before: Side<'_>, after: Side<'_>, name: &str) -> Option<ValueChange> {
    before.declaration(name)?;
    after.declaration(name)?;
    let possible = |because: String| Some(ValueChange { is_possible: true, because });
    let name_code = code(name);
    if after.is_known_later(name) || before.is_known_later(name) {
        return possible(format!("parameter {name_code} is known after apply"));
    }
    match (before.value(name), after.value(name)) {
        (Some(old), Some(new)) if old != new => {
            let because = if before.is_secret(name) || after.is_secret(name) {
                format!("parameter {name_code} has another value")
            } else {
                format!("parameter {name_code} is {} instead of {}", code(&new), code(&old))
            };
            Some(ValueChange { is_possible: false, because })
        }
        (None, Some(_)) => possible(format!("the deployed value of parameter {name_code} isn't known")),
        // Without a new value the deployed one stays.
        _ => None,
    }
}

/// Whether parameters, conditions and mappings are declared alike, so that equal values mean the same.
pub(crate) fn same_defaults(before: Side<'_>, after: Side<'_>) -> bool {
    let same = |section| match (before.template, after.template) {
        (Some(before), Some(after)) => before.section(section) == after.section(section),
        _ => false,
    };
    same("Parameters") && same("Conditions") && same("Mappings")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::StackKey;

    fn known(value: &str) -> ParameterValue {
        ParameterValue::Known(value.to_owned())
    }

    #[test]
    fn conditions_are_worked_out_as_far_as_values_are_known() {
        let template = Template::new(json!({
            "Parameters": {"Env": {"Type": "String", "Default": "prod"}, "Open": {"Type": "String"}},
            "Conditions": {
                "Prod": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
                "West": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-west-2"]},
                "Unknown": {"Fn::Equals": [{"Ref": "Open"}, "x"]},
                "Both": {"Fn::And": [{"Condition": "Prod"}, {"Condition": "West"}]},
                "NotProd": {"Fn::Not": [{"Condition": "Prod"}]},
                "Nor": {"Fn::And": [{"Condition": "NotProd"}, {"Condition": "Unknown"}]},
                "Either": {"Fn::Or": [{"Condition": "NotProd"}, {"Condition": "Unknown"}]},
                "Loop": {"Condition": "Loop"}
            },
            "Resources": {}
        }))
        .unwrap();
        let stack = StackChange::new(StackKey::new("a", "us-west-2"), None, Some(&template));
        let side = Side::after(&stack);
        for (name, expected) in [
            ("Prod", Some(true)),
            ("West", Some(true)),
            ("Unknown", None),
            ("Both", Some(true)),
            ("NotProd", Some(false)),
            ("Nor", Some(false)),
            ("Either", None),
            ("Loop", None),
            ("Nothing", None),
        ] {
            assert_eq!(side.condition(name), expected, "{name}");
        }
    }

    #[test]
    fn a_parameters_change_is_certain_possible_or_none() {
        let template = Template::new(json!({
            "Parameters": {"P": {"Type": "String"}, "S": {"Type": "String", "NoEcho": true}}, "Resources": {}
        }))
        .unwrap();
        let check = |name: &str, before: Option<ParameterValue>, after: Option<ParameterValue>| {
            let mut stack = StackChange::new(StackKey::new("a", "us-west-2"), Some(&template), Some(&template));
            stack.parameters_before.extend(before.map(|value| (name.to_owned(), value)));
            stack.parameters_after.extend(after.map(|value| (name.to_owned(), value)));
            value_change(Side::before(&stack), Side::after(&stack), name)
                .map(|change| (change.is_possible, change.because))
        };
        let words = |possible: bool, text: &str| Some((possible, text.to_owned()));
        assert_eq!(check("P", Some(known("a")), Some(known("a"))), None);
        assert_eq!(check("P", Some(known("a")), None), None);
        assert_eq!(check("P", Some(known("a")), Some(known("b"))), words(false, "parameter `P` is `b` instead of `a`"));
        assert_eq!(check("S", Some(known("a")), Some(known("b"))), words(false, "parameter `S` has another value"));
        let later = Some(ParameterValue::KnownAfterApply);
        assert_eq!(check("P", Some(known("a")), later), words(true, "parameter `P` is known after apply"));
        assert_eq!(check("P", None, Some(known("b"))), words(true, "the deployed value of parameter `P` isn't known"));
    }
}
