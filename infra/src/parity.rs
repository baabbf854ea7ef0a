//! Whether the regions are alike: a failover moves traffic to a region that must be able to do the same.
//!
//! Two regions are compared by exchanging their names, networks and zones in what one of them has; then it must be what
//! the other has. A third region's name stays as it is. Compared are templates, inputs, tags, termination protection and
//! CloudFormation's role of each stack, and the Kubernetes manifests. What differs is a finding, unless it stands in
//! the list of what may. The order in which stacks are deployed isn't compared: a release meets one region first.

use std::collections::BTreeMap;
use std::fmt;

use contracts::Region;
use serde_json::{Map, Value as Json, json};

use crate::constructs::policy::pascal_case;
use crate::environment::Environment;
use crate::kubernetes;
use crate::system::{Input, Source, StackInstance, System};

/// Stacks of the home region only, and why.
const AT_HOME: [(&str, &str); 6] = [
    ("access", "IAM is global: its roles and the OIDC provider have one home"),
    ("drift", "IAM is global: its role looks at all regions"),
    ("data", "Global Tables are declared in one stack; each region has a replica"),
    ("secrets", "secrets are declared in one stack; each region has a replica"),
    ("routing", "DNS records are global and have one home"),
    // At home or not: it is in the one region that has the metrics.
    ("routing-alarms", "Route 53 writes the metrics of health checks to us-east-1 only"),
];

/// What stands for a stack where Kubernetes manifests are compared.
const MANIFESTS: &str = "kubernetes";

/// Paths that may differ between regions, with nothing below or beside them: stack, path, and why.
const ALLOWED: [(&str, &str, &str); 10] = [
    ("keys", "/Description", KEY),
    ("keys", "/Parameters", KEY),
    ("keys", "/inputs/PrimaryKeyArn", KEY),
    ("keys", "/Resources/Key/Metadata", "what is accepted of a key is said beside the primary region's"),
    ("keys", "/Resources/Key/Properties/EnableKeyRotation", KEY),
    ("keys", "/Resources/Key/Properties/MultiRegion", KEY),
    ("keys", "/Resources/Key/Properties/PrimaryKeyArn", KEY),
    ("keys", "/Resources/Key/Type", KEY),
    (
        MANIFESTS,
        "/bootstrap/standby-deployment.yaml",
        "one region consumes at a time: the others begin with a deployment without pods",
    ),
    (
        MANIFESTS,
        "/consumer/config-map.yaml/data/AUTHORITY_ABSENT",
        "one region owns while nobody has made a record of authority",
    ),
];

const KEY: &str = "the secondary regions have replicas of the primary region's key";

/// How a stack differs between two regions, or where it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The stack; `kubernetes` for what runs in the cluster.
    pub stack: &'static str,
    /// The region that the others are compared with.
    pub region: Region,
    /// The other region.
    pub other: Region,
    /// Path in the template, or from `inputs`, `tags`, `termination_protection` or `execution_role`, or from the
    /// manifest's folder; empty when the other region lacks the stack.
    pub path: String,
    /// The value in `region`, as it would be in `other`; none when it has none.
    pub value: Option<Json>,
    /// The value in `other`; none when it has none.
    pub other_value: Option<Json>,
    /// Why it may be so; none when it may not.
    pub allowed: Option<&'static str>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Json>| value.as_ref().map_or_else(|| "nothing".to_owned(), shortened);
        let Self { stack, region, other, path, value, other_value, allowed } = self;
        if path.is_empty() {
            write!(f, "{stack}: in {region} and not in {other}")?;
        } else {
            write!(f, "{stack} {path}: {} in {region}, {} in {other}", text(value), text(other_value))?;
        }
        match allowed {
            Some(reason) => write!(f, " (allowed: {reason})"),
            None => Ok(()),
        }
    }
}

/// The beginning of a value: a whole resource says too much for a line.
fn shortened(value: &Json) -> String {
    const LONGEST: usize = 100;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Every difference between the home region and another.
pub fn differences(environment: &Environment, system: &System) -> Vec<Difference> {
    let home = environment.primary();
    let mut found = Vec::new();
    for other in environment.secondaries() {
        let exchange = Exchange::of(environment, home, other);
        let (at_home, there) = (by_name(system, home), by_name(system, other));
        for (stack, of_home) in &at_home {
            match there.get(stack) {
                Some(of_other) => {
                    let sides = (everything(of_home), everything(of_other));
                    found.extend(between(stack, (home, other), sides, &exchange));
                }
                None => found.push(missing(stack, home, other)),
            }
        }
        found.extend(
            there.keys().filter(|stack| !at_home.contains_key(*stack)).map(|stack| missing(stack, other, home)),
        );
        let sides = (manifests(environment, home), manifests(environment, other));
        found.extend(between(MANIFESTS, (home, other), sides, &exchange));
    }
    found
}

/// The differences of a stack between two regions, with what may be.
fn between(
    stack: &'static str,
    (region, other): (&Region, &Region),
    (value, other_value): (Json, Json),
    exchange: &Exchange,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |path: &str, value: Option<&Json>, other_value: Option<&Json>| {
        let allowed = ALLOWED.iter().find(|(name, allowed, _)| *name == stack && path == *allowed);
        found.push(Difference {
            stack,
            region: region.clone(),
            other: other.clone(),
            path: path.to_owned(),
            value: value.cloned(),
            other_value: other_value.cloned(),
            allowed: allowed.map(|(_, _, reason)| *reason),
        });
    };
    let exchanged = exchange.value(&value, &mut String::new(), &mut |path, lost| note(path, Some(lost), None));
    compare(&exchanged, &exchange.sorted(&other_value), &mut String::new(), &mut note);
    found
}

fn missing(stack: &'static str, region: &Region, other: &Region) -> Difference {
    let allowed = AT_HOME.iter().find(|(name, _)| *name == stack).map(|(_, reason)| *reason);
    let (region, other) = (region.clone(), other.clone());
    Difference { stack, region, other, path: String::new(), value: None, other_value: None, allowed }
}

fn by_name<'a>(system: &'a System, region: &Region) -> BTreeMap<&'static str, &'a StackInstance> {
    let stacks = system.stacks.iter().filter(|stack| stack.id.region == *region);
    stacks.map(|stack| (stack.id.name, stack)).collect()
}

/// What a stack is besides its place in the order.
fn everything(stack: &StackInstance) -> Json {
    let mut all = stack.template.to_json();
    let inputs: Map<String, Json> =
        stack.inputs.iter().map(|Input { parameter, source }| (parameter.clone(), source_of(source))).collect();
    all["inputs"] = Json::Object(inputs);
    all["tags"] = json!(stack.tags);
    all["termination_protection"] = json!(stack.termination_protection);
    all["execution_role"] = json!(stack.execution_role);
    all["name"] = json!(stack.cloudformation_name);
    all
}

/// A source as a value. A stack that is at home only is the same one for every region.
fn source_of(source: &Source) -> Json {
    match source {
        Source::StackOutput { stack, output } if AT_HOME.iter().any(|(name, _)| *name == stack.name) => {
            json!({"stack": stack.name, "output": output})
        }
        Source::StackOutput { stack, output } => {
            json!({"stack": stack.name, "region": stack.region.as_str(), "output": output})
        }
        Source::TableStream { table } => json!({"stream of": table}),
        Source::CodeBucket => json!("bucket of code"),
        Source::CodeKey { program } => json!({"code of": program}),
    }
}

/// Folders with files with objects.
fn manifests(environment: &Environment, region: &Region) -> Json {
    let mut folders: BTreeMap<&str, Map<String, Json>> = BTreeMap::new();
    for manifest in kubernetes::manifests(environment, region) {
        folders.entry(manifest.folder.name()).or_default().insert(manifest.file, manifest.value);
    }
    json!(folders)
}

/// What has to be exchanged to make one region's things the other's.
struct Exchange {
    /// Words that stand for each other.
    words: Vec<(String, String)>,
    /// Names of all regions of the environment, in both spellings.
    regions: Vec<String>,
}

impl Exchange {
    fn of(environment: &Environment, one: &Region, other: &Region) -> Self {
        let mut words =
            vec![(one.to_string(), other.to_string()), (pascal_case(one.as_str()), pascal_case(other.as_str()))];
        if let (Some(one), Some(other)) = (environment.region(one), environment.region(other)) {
            // The first two numbers: a region's network has 16 to 18 bits.
            let start = |network: String| format!("{}.", network.split('.').take(2).collect::<Vec<_>>().join("."));
            words.push((start(one.network.to_string()), start(other.network.to_string())));
            words.extend(one.zones.iter().zip(other.zones).map(|(one, other)| ((*one).to_owned(), other.to_owned())));
        }
        // Some names end with a hash of what they name.
        let names = |region| {
            let manifests = kubernetes::manifests(environment, region).into_iter();
            manifests.map(|manifest| ((manifest.folder, manifest.file), manifest.name)).collect::<BTreeMap<_, _>>()
        };
        let others = names(other);
        for (file, name) in names(one) {
            if let Some(other) = others.get(&file).filter(|other| **other != name) {
                words.push((name, other.clone()));
            }
        }
        let regions = environment.regions().flat_map(|region| [region.to_string(), pascal_case(region.as_str())]);
        Self { words, regions: regions.collect() }
    }

    /// The value with words exchanged, and lists of regions sorted. `lost` is told of what has the name of another then.
    fn value(&self, value: &Json, path: &mut String, lost: &mut impl FnMut(&str, &Json)) -> Json {
        match value {
            Json::Object(fields) => {
                let mut exchanged = Map::new();
                for (key, value) in fields {
                    let key = self.text(key);
                    at(path, &key, |path| {
                        let value = self.value(value, path, lost);
                        if let Some(twin) = exchanged.insert(key.clone(), value) {
                            lost(path, &twin);
                        }
                    });
                }
                Json::Object(exchanged)
            }
            Json::Array(items) => {
                let mut exchanged = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    at(path, &index.to_string(), |path| exchanged.push(self.value(item, path, lost)));
                }
                self.sorted(&Json::Array(exchanged))
            }
            Json::String(text) => self.sorted(&Json::String(self.text(text))),
            other => other.clone(),
        }
    }

    /// Each word of one region becomes the other's, all at once.
    fn text(&self, text: &str) -> String {
        let mut exchanged = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let both = self.words.iter().flat_map(|(one, other)| [(one, other), (other, one)]);
            let fitting = both.filter(|(from, _)| stands_at(from, rest, exchanged.chars().next_back()));
            match fitting.max_by_key(|(from, _)| from.len()) {
                Some((from, to)) => {
                    exchanged.push_str(to);
                    rest = &rest[from.len()..];
                }
                None => {
                    exchanged.push(letter);
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        exchanged
    }

    /// The value with the lists sorted that name regions: each region has its own at another place.
    fn sorted(&self, value: &Json) -> Json {
        match value {
            Json::Object(fields) => {
                Json::Object(fields.iter().map(|(key, value)| (key.clone(), self.sorted(value))).collect())
            }
            Json::Array(items) => {
                let mut items: Vec<Json> = items.iter().map(|item| self.sorted(item)).collect();
                if items.iter().any(|item| self.names_region(&item.to_string())) {
                    items.sort_by_key(ToString::to_string);
                }
                Json::Array(items)
            }
            Json::String(text) => Json::String(self.sorted_text(text)),
            other => other.clone(),
        }
    }
}

impl Exchange {
    fn names_region(&self, text: &str) -> bool {
        self.regions.iter().any(|region| text.contains(region.as_str()))
    }

    /// Lists within a text: of names, of conditions in an alarm's rule, and those of a dashboard, which is JSON.
    fn sorted_text(&self, text: &str) -> String {
        if let Some(inner) = text.strip_prefix('{').and_then(|_| serde_json::from_str::<Json>(text).ok()) {
            return self.sorted(&inner).to_string();
        }
        for separator in [",", " OR "] {
            let mut parts: Vec<&str> = text.split(separator).collect();
            let all_are_names = parts.iter().all(|part| self.regions.iter().any(|region| region == part));
            if parts.len() > 1 && (all_are_names || separator == " OR " && self.names_region(text)) {
                parts.sort_unstable();
                return parts.join(separator);
            }
        }
        text.to_owned()
    }
}

/// Whether the text begins with the word, and not with a longer number than the word's.
fn stands_at(word: &str, text: &str, before: Option<char>) -> bool {
    let digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
    let Some(rest) = text.strip_prefix(word) else { return false };
    let begins_inside = digit(word.chars().next()) && digit(before);
    let ends_inside = digit(word.chars().next_back()) && digit(rest.chars().next());
    !begins_inside && !ends_inside
}

/// Calls `found` for each innermost place at which the values differ.
fn compare(left: &Json, right: &Json, path: &mut String, found: &mut impl FnMut(&str, Option<&Json>, Option<&Json>)) {
    match (left, right) {
        (Json::Object(left), Json::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            for key in keys {
                at(path, key, |path| match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => compare(left, right, path, found),
                    (left, right) => found(path, left, right),
                });
            }
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                at(path, &index.to_string(), |path| compare(left, right, path, found));
            }
        }
        _ if left == right => {}
        _ => found(path, Some(left), Some(right)),
    }
}

fn at(path: &mut String, part: &str, inside: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(part);
    inside(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Exchange {
        let words =
            [("us-west-2", "us-east-1"), ("UsWest2", "UsEast1"), ("10.40.", "10.41."), ("usw2-az1", "use1-az2")];
        let words = words.map(|(one, other)| (one.to_owned(), other.to_owned()));
        let regions = ["us-west-2", "us-east-1", "us-east-2", "UsWest2", "UsEast1", "UsEast2"].map(str::to_owned);
        Exchange { words: words.into(), regions: regions.into() }
    }

    fn paths(value: Json, other: Json) -> Vec<String> {
        let (west, east): (Region, Region) = ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let found = between("events", (&west, &east), (value, other), &exchange());
        found.into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn both_names_are_exchanged_and_a_third_stays() {
        for (text, expected) in [
            ("us-west-2 us-east-1 us-east-2", "us-east-1 us-west-2 us-east-2"),
            ("PeerUsEast1", "PeerUsWest2"),
            ("10.40.16.0/20", "10.41.16.0/20"),
            ("110.40.1.1", "110.40.1.1"),
            ("us-east-10", "us-east-10"),
            ("usw2-az1", "use1-az2"),
            ("é us-west-2", "é us-east-1"),
        ] {
            assert_eq!(exchange().text(text), expected);
            assert_eq!(exchange().text(&exchange().text(text)), text);
        }
    }

    #[test]
    fn what_is_alike_has_no_difference() {
        let one = json!({"Rule": "A(UsEast1) OR A(UsEast2)", "Body": "{\"r\":[\"us-east-1\",\"us-east-2\"]}"});
        let other = json!({"Rule": "A(UsEast2) OR A(UsWest2)", "Body": "{\"r\":[\"us-east-2\",\"us-west-2\"]}"});
        assert_eq!(paths(one, other), Vec::<String>::new());
        let one = json!({"PEERS": "us-east-1,us-east-2", "Arns": ["a:us-west-2", "a:us-east-2"], "UsEast1": 1});
        let other = json!({"PEERS": "us-west-2,us-east-2", "Arns": ["a:us-east-2", "a:us-east-1"], "UsWest2": 1});
        assert_eq!(paths(one, other), Vec::<String>::new());
    }

    #[test]
    fn what_differs_is_found_where_it_is() {
        let one = json!({"peer": "us-east-1", "size": 1, "list": [1, 2], "only": true, "third": "us-east-2"});
        let other = json!({"peer": "us-east-2", "size": 2, "list": [1, 3], "third": "us-west-2"});
        assert_eq!(paths(one, other), ["/list/1", "/only", "/peer", "/size", "/third"]);
    }

    /// Both names of a pair in one map stay two.
    #[test]
    fn names_that_meet_are_told() {
        assert_eq!(
            paths(json!({"us-west-2": 1, "us-east-1": 2}), json!({"us-west-2": 2, "us-east-1": 1})),
            Vec::<String>::new()
        );
        let mut meeting = exchange();
        meeting.words = vec![("a".to_owned(), "b".to_owned()), ("c".to_owned(), "b".to_owned())];
        let mut lost = Vec::new();
        meeting.value(&json!({"a": 1, "c": 2}), &mut String::new(), &mut |path, value| {
            lost.push((path.to_owned(), value.clone()));
        });
        assert_eq!(lost, [("/b".to_owned(), json!(1))]);
    }

    /// Beside an allowed path nothing is: a key's policy must be the same in each region.
    #[test]
    fn an_allowed_path_stands_for_itself() {
        let (west, east): (Region, Region) = ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let key = |kind: &str, days: u8| json!({"Resources": {"Key": {"Type": kind, "Properties": {"PendingWindowInDays": days}}}});
        let found = between("keys", (&west, &east), (key("Key", 30), key("ReplicaKey", 7)), &exchange());
        let found: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.allowed.is_some())).collect();
        assert_eq!(found, [("/Resources/Key/Properties/PendingWindowInDays", false), ("/Resources/Key/Type", true)]);
    }

    /// What the stacks are besides their templates counts too.
    #[test]
    fn inputs_tags_and_protection_are_compared() {
        let text = include_str!("../../environments/production.toml");
        let environment = Environment::parse("production.toml", text).expect("a good file");
        let broken = |change: &dyn Fn(&mut StackInstance)| -> Vec<String> {
            let mut system = crate::system::system(&environment);
            let stack = system.stacks.iter_mut().find(|stack| stack.id.to_string() == "events@us-east-1");
            change(stack.expect("a stack"));
            let found = differences(&environment, &system).into_iter().filter(|found| found.allowed.is_none());
            found.map(|found| format!("{} {}", found.stack, found.path)).collect()
        };
        assert_eq!(broken(&|_| {}), Vec::<String>::new());
        assert_eq!(broken(&|stack| stack.termination_protection = false), ["events /termination_protection"]);
        assert_eq!(broken(&|stack| drop(stack.tags.insert("Owner".into(), "x".into()))), ["events /tags/Owner"]);
        assert_eq!(broken(&|stack| stack.execution_role = None), ["events /execution_role"]);
        let unread = broken(&|stack| drop(stack.inputs.remove(0)));
        assert!(unread.len() == 1 && unread[0].starts_with("events /inputs/"), "{unread:?}");
    }
}
