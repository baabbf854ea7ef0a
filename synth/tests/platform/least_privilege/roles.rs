//! The roles that something runs as, and their policies.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::HOME;
use crate::aws::{Aws, between, percent_decoded};
use crate::checkout::Checkout;

/// The stacks whose roles somebody runs as: programs, schedules and the API. The roles of the others belong to services
/// that don't run here (EKS, flow logs) and to people.
const STACKS: [&str; 2] = ["events", "api"];

pub(super) struct Role {
    pub(super) name: String,
    pub(super) arn: String,
    /// The name without environment and region.
    pub(super) program: String,
    pub(super) statements: Vec<Statement>,
}

pub(super) struct Statement {
    pub(super) sid: String,
    pub(super) why: String,
    actions: Vec<String>,
    /// As deployed, with `*` and `?`.
    resources: Vec<String>,
}

/// What is taken away of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// One of several actions.
    Action(String),
    /// One of several resources.
    Resource(String),
}

/// A role's inline policy.
#[derive(Clone)]
pub(super) struct Policy {
    role: String,
    name: String,
    document: Json,
}

/// The roles of the home region, with what the tool says of their statements and what is deployed.
pub(super) fn that_run(checkout: &Checkout) -> Vec<Role> {
    let aws = checkout.aws(HOME);
    let listed = checkout.answer(&["roles"]);
    let mut roles = Vec::new();
    for listed in listed["roles"].as_array().expect("roles") {
        let stack = listed["stack"].as_str().expect("a stack");
        if !STACKS.iter().any(|name| stack == format!("{name}@{HOME}")) {
            continue;
        }
        let name = listed["name"].as_str().expect("roles have names").to_owned();
        let program = name.strip_prefix("tandem-sandbox-").and_then(|name| name.strip_suffix(&format!("-{HOME}")));
        let program = program.unwrap_or_else(|| panic!("`{name}` is named by environment and region")).to_owned();
        let arn = format!("arn:aws:iam::000000000000:role/{name}");
        let mut role = Role { name, arn, program, statements: Vec::new() };
        let deployed = role.policy(&aws).document;
        role.statements = statements(&deployed, listed);
        assert_eq!(role.statements.len(), listed["statements"].as_array().expect("statements").len(), "{}", role.name);
        roles.push(role);
    }
    roles
}

fn statements(deployed: &Json, listed: &Json) -> Vec<Statement> {
    let statement = |statement: &Json| {
        let sid = statement["Sid"].as_str().expect("statements have ids").to_owned();
        let of_tool =
            listed["statements"].as_array().into_iter().flatten().find(|listed| listed["sid"] == sid.as_str());
        let of_tool = of_tool.unwrap_or_else(|| panic!("`synth roles` knows `{sid}`: {listed:#}"));
        let part = |field: &str| of_tool[field].as_str().unwrap_or("nobody says why").to_owned();
        Statement {
            why: format!("{}, {}", part("why"), part("location")),
            actions: one_or_many(&statement["Action"]),
            resources: one_or_many(&statement["Resource"]),
            sid,
        }
    };
    deployed["Statement"].as_array().expect("statements").iter().map(statement).collect()
}

impl Role {
    /// The role's one inline policy, as it is now.
    pub(super) fn policy(&self, aws: &Aws) -> Policy {
        let listed = aws.iam("ListRolePolicies", &[("RoleName", &self.name)]);
        let name = between(&listed, "member").to_owned();
        assert_eq!(listed.matches("<member>").count(), 1, "{listed}");
        let found = aws.iam("GetRolePolicy", &[("RoleName", &self.name), ("PolicyName", &name)]);
        let document = percent_decoded(between(&found, "PolicyDocument"));
        let document = serde_json::from_str(&document).unwrap_or_else(|error| panic!("{error}: {document}"));
        Policy { role: self.name.clone(), name, document }
    }
}

impl Policy {
    /// Without a part of one statement.
    pub(super) fn cut(&self, sid: &str, part: &Part) -> Self {
        let (field, value) = match part {
            Part::Whole => return self.without(&[sid]),
            Part::Action(action) => ("Action", action),
            Part::Resource(resource) => ("Resource", resource),
        };
        let mut policy = self.clone();
        let statements = policy.document["Statement"].as_array_mut().expect("statements");
        let statement = statements.iter_mut().find(|statement| statement["Sid"] == sid).expect("it is there");
        let values = statement[field].as_array_mut().expect("it is one of several");
        let before = values.len();
        values.retain(|kept| kept != value);
        assert_eq!(values.len() + 1, before, "{value} is in `{sid}`");
        policy
    }

    pub(super) fn without(&self, sids: &[&str]) -> Self {
        let mut policy = self.clone();
        let statements = policy.document["Statement"].as_array_mut().expect("statements");
        let before = statements.len();
        statements.retain(|statement| !sids.iter().any(|sid| statement["Sid"] == *sid));
        assert_eq!(statements.len() + sids.len(), before, "{sids:?} are among the statements of {}", self.role);
        policy
    }

    pub(super) fn put(&self, aws: &Aws) {
        let target = [("RoleName", self.role.as_str()), ("PolicyName", self.name.as_str())];
        // IAM takes no policy without statements.
        if self.document["Statement"] == json!([]) {
            aws.iam("DeleteRolePolicy", &target);
        } else {
            let document = self.document.to_string();
            aws.iam("PutRolePolicy", &[target[0], target[1], ("PolicyDocument", &document)]);
        }
    }
}

impl Statement {
    /// The statement, and each of its actions and resources where it has more than one.
    pub(super) fn parts(&self) -> Vec<Part> {
        let several = |values: &[String]| if values.len() > 1 { values.to_vec() } else { Vec::new() };
        let actions = several(&self.actions).into_iter().map(Part::Action);
        let resources = several(&self.resources).into_iter().map(Part::Resource);
        [Part::Whole].into_iter().chain(actions).chain(resources).collect()
    }

    /// Whether the part allows this. No two statements of a role, and no two parts of one kind, allow the same.
    pub(super) fn allows(&self, part: &Part, action: &str, resource: &str) -> bool {
        let fits = |pattern: &str| matches(pattern.as_bytes(), resource.as_bytes());
        let by_action = match part {
            Part::Action(only) => only == action,
            Part::Whole | Part::Resource(_) => self.actions.iter().any(|allowed| allowed == action),
        };
        by_action
            && match part {
                Part::Resource(only) => fits(only),
                Part::Whole | Part::Action(_) => self.resources.iter().any(|pattern| fits(pattern)),
            }
    }
}

impl Part {
    /// The action, where it is one.
    pub(super) fn action(&self) -> Option<&str> {
        match self {
            Self::Action(action) => Some(action),
            Self::Whole | Self::Resource(_) => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => write!(f, "all of it"),
            Self::Action(text) | Self::Resource(text) => write!(f, "{text}"),
        }
    }
}

/// IAM's patterns: `*` is any text, `?` any letter.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(pattern, text))
        }
        ([b'?', pattern @ ..], [_, text @ ..]) => matches(pattern, text),
        ([wanted, pattern @ ..], [found, text @ ..]) if wanted == found => matches(pattern, text),
        _ => false,
    }
}

fn one_or_many(json: &Json) -> Vec<String> {
    let text = |json: &Json| json.as_str().expect("text").to_owned();
    match json {
        Json::Array(texts) => texts.iter().map(text).collect(),
        other => vec![text(other)],
    }
}
