//! Marks for what is written alike and means something else on the other side.
//!
//! A value that only CloudFormation computes is compared by its text. Where the mapping, condition or parameter behind
//! it differs between the sides, the text gets the side's word, so that it equals nothing of the other.

use serde_json::{Map, Value};

use crate::differs::{condition_differs, mapping_differs, parameter_differs};
use crate::parameters::Side;
use crate::pieces::{SubPart, intrinsic, sub_parts};
use crate::template::Template;

/// The template of `side` with marks; none without a template.
pub(crate) fn marked(side: Side<'_>, other: Side<'_>) -> Option<Template> {
    let marks = Marks { side, other };
    let mut document = side.template?.document().clone();
    for resource in document.get_mut("Resources").and_then(Value::as_object_mut)?.values_mut() {
        if let Some(Value::String(name)) = resource.get_mut("Condition")
            && side.condition(name).is_none()
            && condition_differs(side, other, name)
        {
            *name = marks.mark(name);
        }
        if let Some(properties) = resource.get_mut("Properties") {
            *properties = marks.value(properties);
        }
    }
    Some(Template::new(document).expect("marks leave the outline as it is"))
}

struct Marks<'a> {
    side: Side<'a>,
    other: Side<'a>,
}

impl Marks<'_> {
    fn mark(&self, name: &str) -> String {
        format!("{name} ({})", self.side.word())
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => match intrinsic(value) {
                Some((function, argument)) => self.function(function, argument),
                None => Value::Object(map.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()),
            },
            scalar => scalar.clone(),
        }
    }

    fn function(&self, function: &str, argument: &Value) -> Value {
        let differs = match (function, argument) {
            ("Ref", Value::String(name)) if self.unknown_parameter(name) => {
                return one(function.to_owned(), Value::String(self.mark(name)));
            }
            ("Fn::Sub", Value::String(text)) => return one(function.to_owned(), Value::String(self.sub(text, None))),
            ("Fn::Sub", Value::Array(list)) => {
                let mut list: Vec<Value> = list.iter().map(|item| self.value(item)).collect();
                let variables = argument.get(1).and_then(Value::as_object);
                if let Some(Value::String(text)) = list.first_mut() {
                    *text = self.sub(text, variables);
                }
                return one(function.to_owned(), Value::Array(list));
            }
            ("Fn::FindInMap", Value::Array(list)) => mapping_differs(self.side, self.other, list),
            ("Fn::If", Value::Array(list)) => match list.first() {
                Some(Value::String(name)) => condition_differs(self.side, self.other, name),
                _ => false,
            },
            _ => false,
        };
        let name = if differs { self.mark(function) } else { function.to_owned() };
        one(name, self.value(argument))
    }

    /// The text of `Fn::Sub` with marked names.
    fn sub(&self, text: &str, variables: Option<&Map<String, Value>>) -> String {
        let is_local = |name: &str| variables.is_some_and(|variables| variables.contains_key(name));
        let mut marked = text.to_owned();
        for part in sub_parts(text) {
            if let SubPart::Variable(name) = part
                && !is_local(name)
                && self.unknown_parameter(name)
            {
                marked = marked.replace(&format!("${{{name}}}"), &format!("${{{}}}", self.mark(name)));
            }
        }
        marked
    }

    /// Whether it is a parameter that stays a name here, and whose value may be another on the other side.
    fn unknown_parameter(&self, name: &str) -> bool {
        self.side.shown_value(name, self.other).is_none() && parameter_differs(self.side, self.other, name)
    }
}

fn one(name: String, argument: Value) -> Value {
    Value::Object([(name, argument)].into_iter().collect())
}
