//! One object as it shall be, and the name that it goes by.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which object: the version of its kind's form doesn't belong to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Key {
    /// The group of its kind, such as `apps`; empty for the core group.
    pub group: String,
    /// Its kind, such as `Deployment`.
    pub kind: String,
    /// Its namespace; none for what belongs to the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Key {
    /// Whether it is of that kind of that group.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// Whether its values must never be shown.
    pub fn is_secret(&self) -> bool {
        self.is("", "Secret")
    }

    /// `group/kind/namespace/name`, which [`FromStr`] reads. None of the four can hold a `/`.
    pub fn path(&self) -> String {
        let Self { group, kind, namespace, name } = self;
        format!("{group}/{kind}/{}/{name}", namespace.as_deref().unwrap_or_default())
    }
}

/// For people: `Deployment tandem/consumer`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// A text that names no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no object's path; the form is `group/kind/namespace/name`, such as `apps/Deployment/web/shop`")]
pub struct KeyError(String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [group, kind, namespace, name] if !kind.is_empty() && !name.is_empty() => Ok(Self {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
                name: name.to_owned(),
            }),
            _ => Err(KeyError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.path()
    }
}

/// An object as it shall be.
#[derive(Clone, PartialEq)]
pub struct Object {
    key: Key,
    api_version: String,
    value: Value,
}

/// Says which object it is and not what is in it, which may be secret.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(&self.key.path()).finish()
    }
}

/// Something that can't be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It lacks what names it.
    #[error("an object has no `{0}`")]
    Missing(&'static str),
    /// It holds what only the cluster writes, or what names it by chance.
    #[error("{key} has `{field}`, which is not the author's to say; leave it out")]
    NotYours {
        /// Which object.
        key: Key,
        /// The field.
        field: &'static str,
    },
}

impl Object {
    /// Takes a whole object, as in a manifest.
    ///
    /// # Errors
    /// It has no kind, version or name, or holds what only a cluster can say.
    pub fn new(mut value: Value) -> Result<Self, ObjectError> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let api_version = text("/apiVersion").ok_or(ObjectError::Missing("apiVersion"))?.to_owned();
        let kind = text("/kind").ok_or(ObjectError::Missing("kind"))?.to_owned();
        let name = text("/metadata/name").ok_or(ObjectError::Missing("metadata.name"))?.to_owned();
        let namespace = text("/metadata/namespace").map(str::to_owned);
        let group = api_version.rsplit_once('/').map(|(group, _)| group.to_owned()).unwrap_or_default();
        let key = Key { group, kind, namespace, name };
        for (pointer, field) in [
            ("/metadata/generateName", "metadata.generateName"),
            ("/metadata/managedFields", "metadata.managedFields"),
            ("/metadata/resourceVersion", "metadata.resourceVersion"),
            ("/metadata/uid", "metadata.uid"),
            ("/status", "status"),
        ] {
            if value.pointer(pointer).is_some() {
                return Err(ObjectError::NotYours { key, field });
            }
        }
        if key.is_secret() {
            encode(&mut value);
        }
        Ok(Self { key, api_version, value })
    }

    /// Which object it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Group and version of its form: `apps/v1`, or `v1` of the core group.
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The whole object. Of a `Secret` it holds the values.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object with one label more.
    pub(crate) fn labelled(&self, (label, text): &(String, String)) -> Value {
        let mut value = self.value.clone();
        if !value["metadata"]["labels"].is_object() {
            value["metadata"]["labels"] = Value::Object(Map::new());
        }
        value["metadata"]["labels"][label] = Value::String(text.clone());
        value
    }
}

/// Puts what a secret says in plain text where the cluster keeps it. The field for plain text can only be written, so a
/// comparison would never see a change of it.
fn encode(value: &mut Value) {
    let Some(Value::Object(plain)) = value.as_object_mut().and_then(|object| object.remove("stringData")) else {
        return;
    };
    if !value["data"].is_object() {
        value["data"] = Value::Object(Map::new());
    }
    for (name, text) in plain {
        value["data"][name] = Value::String(STANDARD.encode(text.as_str().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_read_from_its_path() {
        for path in ["apps/Deployment/web/shop", "/ConfigMap/web/settings", "/Namespace//web"] {
            assert_eq!(path.parse::<Key>().unwrap().path(), path);
        }
        let key: Key = "/Namespace//web".parse().unwrap();
        assert_eq!((key.namespace.as_deref(), key.to_string()), (None, "Namespace web".to_owned()));
        for wrong in ["", "Deployment/shop", "apps/Deployment/web/", "apps//web/shop", "a/b/c/d/e"] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_only_a_cluster_says_is_refused() {
        let object = |more: Value| {
            let mut value =
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "y"}});
            for (name, more) in more.as_object().unwrap() {
                value[name] = more.clone();
            }
            Object::new(value).map(|object| object.key().path()).map_err(|error| error.to_string())
        };
        assert_eq!(object(json!({})), Ok("/ConfigMap/y/x".to_owned()));
        let refused = object(json!({"status": {}})).unwrap_err();
        assert_eq!(refused, "ConfigMap y/x has `status`, which is not the author's to say; leave it out");
        assert!(object(json!({"metadata": {"name": "x", "uid": "1"}})).is_err());
        assert_eq!(object(json!({"kind": ""})).unwrap_err(), "an object has no `kind`");
        assert_eq!(object(json!({"metadata": {}})).unwrap_err(), "an object has no `metadata.name`");
    }

    #[test]
    fn plain_text_of_a_secret_goes_where_it_is_kept() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "y"},
            "data": {"kept": "AA=="}, "stringData": {"password": "hunter2"},
        });
        let secret = Object::new(secret).unwrap();
        assert_eq!(secret.value()["data"], json!({"kept": "AA==", "password": "aHVudGVyMg=="}));
        assert_eq!(secret.value().get("stringData"), None);
        assert_eq!(format!("{secret:?}"), "Object(\"/Secret/y/x\")");
    }
}
