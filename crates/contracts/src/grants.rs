//! Which routes of the API are open to whom: a list of grants, deny by default.
//!
//! A grant knows whole paths and "everything below", and no wildcard in the middle: API Gateway's policies, where a wildcard
//! also matches slashes, and route keys, which are compared as text, must mean the same by it.

use crate::Setting;

/// What callers may do. What no grant covers is forbidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

/// Lets callers of some roles use a route, or all routes below a path.
///
/// As text: `POST /v1/events *` for everybody with a good token, `GET /v1/orders/* reader,admin` for two roles and
/// everything below `/v1/orders/`, `* /* admin` for whatever there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// In capitals; none: any method.
    method: Option<String>,
    /// Invariant: begins with a slash, has no empty segment, and ends in a slash exactly when `below`.
    path: String,
    below: bool,
    /// None: whoever has a good token.
    roles: Option<Vec<String>>,
}

impl Grants {
    /// Takes grants; the order doesn't matter.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        Self(grants.into_iter().collect())
    }

    /// The grants that count for a caller with `roles`.
    pub fn of_roles<'a>(&'a self, roles: &'a [String]) -> impl Iterator<Item = &'a Grant> {
        self.0.iter().filter(move |grant| match &grant.roles {
            None => true,
            Some(named) => named.iter().any(|role| roles.contains(role)),
        })
    }
}

impl Grant {
    /// Whether it covers a route of an HTTP API, by the route's key: `POST /v1/events`, `GET /v1/orders/{id}`,
    /// `ANY /v1/{proxy+}` or `$default`.
    ///
    /// A key stands for all requests that the route takes, so a route of any method is covered by a grant of any method
    /// only, and `$default` only by a grant of everything.
    pub fn covers_route(&self, route_key: &str) -> bool {
        let Some((method, path)) = route_key.split_once(' ') else {
            return route_key == "$default" && self.method.is_none() && self.path == "/" && self.below;
        };
        let same_method = self.method.as_deref().is_none_or(|granted| granted == method);
        let same_path = if self.below { path.starts_with(&self.path) } else { path == self.path };
        // A variable in a key (`{id}`) is text like any other here: it is below a path, and no grant's path can equal it.
        same_method && same_path
    }

    /// What it covers of a stage, as a policy's resource; `stage` is the ARN up to the stage's name:
    /// `arn:aws:execute-api:us-west-2:000000000000:abc123/prod`.
    pub fn resource(&self, stage: &str) -> String {
        let method = self.method.as_deref().unwrap_or("*");
        format!("{stage}/{method}{}{}", self.path, if self.below { "*" } else { "" })
    }
}

impl Setting for Grant {
    fn parse(text: &str) -> Result<Self, String> {
        let malformed = || "not a grant: method, path and roles, such as `POST /v1/events writer,admin`".to_owned();
        let [method, path, roles] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(malformed()) };
        let method = match method {
            "*" => None,
            _ if (1..=16).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Some(method.to_owned())
            }
            _ => return Err(malformed()),
        };
        let (path, below) = match path.strip_suffix('*') {
            Some(above) if above.ends_with('/') => (above, true),
            Some(_) => return Err(malformed()),
            None => (path, false),
        };
        if !is_path(path, below) {
            return Err(malformed());
        }
        let roles = match roles {
            "*" => None,
            _ => Some(roles.split(',').map(ToOwned::to_owned).collect::<Vec<_>>()),
        };
        // A comma or semicolon would separate, and a star would stand for everybody.
        let is_role =
            |role: &String| !role.is_empty() && !role.contains([';', '*']) && !role.contains(char::is_control);
        if !roles.iter().flatten().all(is_role) {
            return Err(malformed());
        }
        Ok(Self { method, path: path.to_owned(), below, roles })
    }

    fn render(&self) -> String {
        let Self { method, path, below, roles } = self;
        let method = method.as_deref().unwrap_or("*");
        let star = if *below { "*" } else { "" };
        let roles = roles.as_ref().map_or_else(|| "*".to_owned(), |roles| roles.join(","));
        format!("{method} {path}{star} {roles}")
    }
}

impl Setting for Grants {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(';').map(Grant::parse).collect::<Result<Vec<_>, _>>().map(Self)
    }

    fn render(&self) -> String {
        self.0.iter().map(Setting::render).collect::<Vec<_>>().join(";")
    }
}

/// A path of plain segments. Nothing in it means something to a policy (`*`, `?`, `$`), to a route key (`{`, `+`), or to
/// whoever resolves paths (`.` and `..`, `%`).
fn is_path(path: &str, below: bool) -> bool {
    let Some(inner) = path.strip_prefix('/') else { return false };
    if inner.is_empty() {
        return true;
    }
    let inner = if below { inner.strip_suffix('/').unwrap_or(inner) } else { inner };
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    inner.split('/').all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Grant {
        Grant::parse(text).expect(text)
    }

    #[test]
    fn grants_round_trip() {
        for text in [
            "POST /v1/events *",
            "GET /v1/orders/* reader,admin",
            "* /* admin",
            "GET / reader",
            "POST /v1/events *;GET /v1/orders/* reader;* /admin/* admin",
        ] {
            assert_eq!(Grants::parse(text).expect(text).render(), text);
        }
        for bad in [
            "",
            "POST /v1/events",
            "POST  /v1/events *",
            "post /v1/events *",
            "POST v1/events *",
            "POST /v1//events *",
            "POST /v1/events/ *",
            "POST /v1/events* *",
            "POST /v1/*/events *",
            "POST /v1/{id} *",
            "POST /v1/?vents *",
            "POST /v1/../events *",
            "POST /v1/%2e *",
            "POST /v1/${x} *",
            "POST //* *",
            "POST /v1/events ,",
            "POST /v1/events a,,b",
            "POST /v1/events a,*",
            "POST /v1/events *;",
            ";POST /v1/events *",
        ] {
            assert!(Grants::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn roles_decide_which_grants_count() {
        let grants = Grants::parse("POST /v1/events *;GET /v1/orders/* reader,admin;* /* admin").expect("grants");
        for (roles, expected) in [
            (&[][..], 1),
            (&["reader"], 2),
            (&["admin"], 3),
            (&["Reader"], 1),
            (&["reader,admin"], 1),
            (&["*"], 1),
            (&["other", "reader"], 2),
        ] {
            let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
            assert_eq!(grants.of_roles(&roles).count(), expected, "{roles:?}");
        }
    }

    #[test]
    fn a_route_is_covered_by_its_key() {
        for (text, route_key, expected) in [
            ("POST /v1/events *", "POST /v1/events", true),
            ("POST /v1/events *", "GET /v1/events", false),
            ("POST /v1/events *", "ANY /v1/events", false),
            ("* /v1/events *", "ANY /v1/events", true),
            ("POST /v1/events *", "POST /v1/events/", false),
            ("POST /v1/events *", "POST /v1/eventsx", false),
            ("GET /v1/orders/* *", "GET /v1/orders/{id}", true),
            ("GET /v1/orders/* *", "GET /v1/orders/{proxy+}", true),
            ("GET /v1/orders/* *", "GET /v1/orders", false),
            ("GET /v1/orders/* *", "GET /v1/{proxy+}", false),
            ("GET /v1/orders *", "GET /v1/{id}", false),
            ("* /* *", "ANY /{proxy+}", true),
            ("* /* *", "$default", true),
            ("GET /* *", "$default", false),
            ("* /v1/* *", "$default", false),
            ("* / *", "$default", false),
            ("* /* *", "", false),
            ("* /* *", "$other", false),
        ] {
            assert_eq!(grant(text).covers_route(route_key), expected, "{text} for {route_key}");
        }
    }

    #[test]
    fn a_policys_resource_covers_the_same() {
        let stage = "arn:aws:execute-api:us-west-2:000000000000:abc123/prod";
        for (text, expected) in [
            ("POST /v1/events *", "POST/v1/events"),
            ("GET /v1/orders/* reader", "GET/v1/orders/*"),
            ("* /* admin", "*/*"),
            ("GET / reader", "GET/"),
        ] {
            assert_eq!(grant(text).resource(stage), format!("{stage}/{expected}"));
        }
    }
}
