//! IAM policy documents.

use std::collections::BTreeSet;
use std::panic::Location;

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
    why: String,
    /// Why it must cover every resource, if it does.
    any_resource: Option<String>,
    location: &'static Location<'static>,
}

impl Statement {
    /// Allows `actions` on `resources`. `sid` has only letters and digits.
    #[track_caller]
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
            why: String::new(),
            any_resource: None,
            location: Location::caller(),
        }
    }

    /// Allows `actions` on every resource, because of `reason`: either the actions know no resources, or their names
    /// can't be known. The reason is written into the template and checked for.
    #[track_caller]
    pub(crate) fn allow_on_any<'a>(
        sid: impl Into<String>,
        actions: impl IntoIterator<Item = &'a str>,
        reason: impl Into<String>,
    ) -> Self {
        let mut statement = Self::allow(sid, actions, [Value::from("*")]);
        statement.any_resource = Some(reason.into());
        statement
    }

    /// Says why its resources leave open which one is meant, such as ids that are random. The reason is written into the
    /// template and checked for, as that of [`Self::allow_on_any`].
    pub(crate) fn open_because(mut self, reason: impl Into<String>) -> Self {
        self.any_resource = Some(reason.into());
        self
    }

    /// Denies `actions` on `resources`, whatever else allows them.
    #[track_caller]
    pub(crate) fn deny<'a>(
        sid: impl Into<String>,
        actions: impl IntoIterator<Item = &'a str>,
        resources: impl IntoIterator<Item = Value<String>>,
    ) -> Self {
        Self { effect: "Deny", ..Self::allow(sid, actions, resources) }
    }

    /// Says who needs the statement, and for what.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(crate) fn sid(&self) -> &str {
        &self.sid
    }

    pub(crate) fn why(&self) -> &str {
        self.any_resource.as_deref().filter(|_| self.why.is_empty()).unwrap_or(&self.why)
    }

    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(String::as_str)
    }

    pub(crate) fn any_resource(&self) -> Option<&str> {
        self.any_resource.as_deref()
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Denies every use of `resources` over a connection without TLS.
    #[track_caller]
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
        let Self { sid, effect, principal, mut actions, resources, conditions, why: _, any_resource: _, location: _ } =
            self;
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

/// The statements that declared needs of `program` stand for: one for each need, so that each can be traced to its
/// line, and one for each service and region whose keys are used, however many resources they encrypt.
#[track_caller]
pub(crate) fn statements_of(program: &str, needs: &[Need<Value<String>>]) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut keys: Vec<KeyUse<'_>> = Vec::new();
    for need in needs {
        let Need { field, verb, kind, target, actions, resources, on_any_because, .. } = need;
        let (sid, actions) = (pascal_case(field), actions.iter().copied());
        let statement = match on_any_because {
            Some(reason) => Statement::allow_on_any(sid, actions, *reason),
            None => Statement::allow(sid, actions, resources.iter().cloned()),
        };
        statements.push(statement.because(format!("`{program}` {verb} {kind} `{target}` (need `{field}`)")));
        for key in &need.keys {
            let same = |known: &&mut KeyUse<'_>| {
                known.need.key == key.key
                    && known.need.via_service == key.via_service
                    && known.need.region == key.region
            };
            match keys.iter_mut().find(same) {
                Some(known) => {
                    known.actions.extend(key.actions);
                    known.fields.insert(field);
                }
                None => keys.push(KeyUse {
                    need: key,
                    actions: key.actions.iter().copied().collect(),
                    fields: BTreeSet::from([*field]),
                }),
            }
        }
    }
    statements.extend(keys.into_iter().map(|key| key.statement(program)));
    statements
}

/// What a program's needs take of one key through one service.
struct KeyUse<'a> {
    need: &'a KeyNeed<Value<String>>,
    actions: BTreeSet<&'static str>,
    fields: BTreeSet<&'static str>,
}

impl KeyUse<'_> {
    #[track_caller]
    fn statement(self, program: &str) -> Statement {
        let Self { need: KeyNeed { key, via_service, region, .. }, actions, fields } = self;
        let place = region.as_ref().map_or_else(|| "${AWS::Region}".to_owned(), ToString::to_string);
        let via = cfn::sub(&format!("{via_service}.{place}.${{AWS::URLSuffix}}"));
        let suffix = region.as_ref().map(|region| pascal_case(region.as_str())).unwrap_or_default();
        let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
        Statement::allow(format!("KeyThrough{}{suffix}", pascal_case(via_service)), actions, [key.clone()])
            .when("StringEquals", "kms:ViaService", via.into_inner())
            .because(format!("`{program}` uses what the key encrypts (needs {})", fields.join(", ")))
    }
}

/// A name for templates: `dead_letters` and `dead-letters` become `DeadLetters`.
pub(crate) fn pascal_case(name: &str) -> String {
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
