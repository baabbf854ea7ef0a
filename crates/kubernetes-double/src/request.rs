//! What is asked for: a place in the API, and how.

use std::collections::BTreeMap;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// What the server is.
    Server,
    /// The list of groups.
    Groups,
    /// A group's version: what kinds it has.
    Version(String),
    /// Objects of a kind, or one of them.
    Objects { group: String, version: String, namespace: Option<String>, plural: String, name: Option<String> },
    /// Nothing that is served.
    Nothing,
}

impl Target {
    pub(crate) fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts[..] {
            ["version"] => return Self::Server,
            ["apis"] => return Self::Groups,
            ["api", version] => return Self::Version(version.to_owned()),
            ["apis", group, version] => return Self::Version(format!("{group}/{version}")),
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return Self::Nothing,
        };
        let (namespace, rest) = match rest {
            // `namespaces/web` is an object, `namespaces/web/pods` is in it.
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, name) = match rest {
            [plural] => (*plural, None),
            [plural, name] => (*plural, Some((*name).to_owned())),
            _ => return Self::Nothing,
        };
        Self::Objects {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace,
            plural: plural.to_owned(),
            name,
        }
    }
}

/// The query of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn of(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.get("dryRun") == "All"
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let objects = |path: &str| match Target::of(path) {
            Target::Objects { group, version, namespace, plural, name } => {
                format!("{group}|{version}|{}|{plural}|{}", namespace.unwrap_or_default(), name.unwrap_or_default())
            }
            other => format!("{other:?}"),
        };
        assert_eq!(objects("/api/v1/namespaces/web"), "|v1||namespaces|web");
        assert_eq!(objects("/api/v1/namespaces/web/configmaps"), "|v1|web|configmaps|");
        assert_eq!(objects("/apis/apps/v1/namespaces/web/deployments/shop"), "apps|v1|web|deployments|shop");
        assert_eq!(objects("/apis/apps/v1"), "Version(\"apps/v1\")");
        assert_eq!(objects("/apis"), "Groups");
        assert_eq!(objects("/healthz"), "Nothing");
        let query = Query::of("fieldManager=a%2Fb&dryRun=All&labelSelector=a%3Db+c");
        assert_eq!((query.get("fieldManager"), query.is_dry_run(), query.get("labelSelector")), ("a/b", true, "a=b c"));
    }
}
