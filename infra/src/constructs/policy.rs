//! IAM policy documents.

use std::collections::BTreeSet;

use cfn::Value;
use contracts::{KeyNeed, Need};
use serde_json::{Map, Value as Json, json};

/// One statement of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    sid: String,
    effect: &'static str,
    principal: Option<Json>,
    actions: Vec<String>,
    resources: Vec<Value<String>>,
    conditions: Vec<(&'static str, &'static str, Json)>,
}

impl Statement {
    /// Allows `actions` on `resources`. `sid` has only letters and digits.
    pub(crate) fn allow<'a>(
        sid: impl Into<String>,
        actions: impl IntoIterator<Item = &'a str>,
        resources: impl IntoIterator<Item = Value<String>>,
    ) -> Self {
        Self {
            sid: sid.into(),
            effect: "Allow",
            principal: None,
            actions: actions.into_iter().map(str::to_owned).collect(),
            resources: resources.into_iter().collect(),
            conditions: Vec::new(),
        }
    }

    /// Denies every use of `resources` over a connection without TLS.
    pub(crate) fn deny_without_tls(action: &str, resources: impl IntoIterator<Item = Value<String>>) -> Self {
        let mut statement = Self::allow("DenyWithoutTls", [action], resources).to(json!("*")).when(
            "Bool",
            "aws:SecureTransport",
            json!("false"),
        );
        statement.effect = "Deny";
        statement
    }

    /// Gives the statement to a principal; statements of a role's own policy have none.
    pub(crate) fn to(mut self, principal: Json) -> Self {
        self.principal = Some(principal);
        self
    }

    /// Gives the statement to an AWS service.
    pub(crate) fn for_service(self, service: impl Into<Value<String>>) -> Self {
        self.to(json!({"Service": service.into()}))
    }

    /// Adds a condition.
    pub(crate) fn when(mut self, operator: &'static str, key: &'static str, value: impl Into<Json>) -> Self {
        self.conditions.push((operator, key, value.into()));
        self
    }

    fn into_json(self) -> Json {
        let Self { sid, effect, principal, mut actions, resources, conditions } = self;
        let mut statement = Map::new();
        statement.insert("Sid".to_owned(), json!(sid));
        statement.insert("Effect".to_owned(), json!(effect));
        if let Some(principal) = principal {
            statement.insert("Principal".to_owned(), principal);
        }
        actions.sort_unstable();
        statement.insert("Action".to_owned(), one_or_many(actions.into_iter().map(Json::from).collect()));
        if !resources.is_empty() {
            let resources = resources.into_iter().map(Value::into_inner).collect();
            statement.insert("Resource".to_owned(), one_or_many(resources));
        }
        if !conditions.is_empty() {
            let mut operators = Map::new();
            for (operator, key, value) in conditions {
                let keys = operators.entry(operator).or_insert_with(|| json!({}));
                keys[key] = value;
            }
            statement.insert("Condition".to_owned(), Json::Object(operators));
        }
        Json::Object(statement)
    }
}

/// A policy document with these statements.
pub(crate) fn document(statements: impl IntoIterator<Item = Statement>) -> Json {
    let statements: Vec<Json> = statements.into_iter().map(Statement::into_json).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The statements that declared needs stand for: one for each need, so that each can be traced to its line,
/// and one for each key and service, however many resources it encrypts.
pub(crate) fn statements_of(needs: &[Need<Value<String>>]) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut keys: Vec<(&KeyNeed<Value<String>>, BTreeSet<&str>)> = Vec::new();
    for need in needs {
        statements.push(Statement::allow(
            sid(need.field),
            need.actions.iter().copied(),
            need.resources.iter().cloned(),
        ));
        let Some(key) = &need.key else { continue };
        match keys.iter_mut().find(|(other, _)| other.key == key.key && other.via_service == key.via_service) {
            Some((_, actions)) => actions.extend(key.actions),
            None => keys.push((key, key.actions.iter().copied().collect())),
        }
    }
    statements.extend(keys.into_iter().map(|(need, actions)| {
        let via = cfn::sub(&format!("{}.${{AWS::Region}}.${{AWS::URLSuffix}}", need.via_service));
        Statement::allow(format!("KeyThrough{}", sid(need.via_service)), actions, [need.key.clone()]).when(
            "StringEquals",
            "kms:ViaService",
            via.into_inner(),
        )
    }));
    statements
}

/// A statement id from a name: `dead_letters` becomes `DeadLetters`.
fn sid(name: &str) -> String {
    name.split(['_', '-'])
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
        .collect()
}

fn one_or_many(mut values: Vec<Json>) -> Json {
    if values.len() == 1 { values.remove(0) } else { Json::Array(values) }
}
