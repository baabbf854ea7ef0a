//! The search of one stack: asked for, waited for, read to the last page, and put together with what CloudFormation can't see.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diff::{LiveDifference, LiveResource, LiveStack, LiveState, ParameterValue, Template};
use serde_json::{Map, Value};

use super::report::{Unchecked, Unseen};
use crate::deploy::cloud::{
    CallClass, CallError, Cloud, DetectionState, DriftDetection, DriftStatus, Observed, Provisioned, ResourceDrift,
    StackRef, Standing, Status, patiently,
};
use crate::deploy::plan::{Deployed, look};
use crate::deploy::running::each;
use crate::deploy::system::{Stack, StackKey, resources_of};

/// The most looks at a search before it counts as stuck: an hour, with the longest pause between two.
const MOST_LOOKS: u32 = 720;

/// What came of looking at a stack.
pub(super) enum Looked {
    /// It isn't deployed.
    Absent,
    /// Its state allows no comparison, for this reason.
    Unsettled(String),
    Found(Found),
}

impl Looked {
    pub(super) fn says(&self) -> &'static str {
        match self {
            Self::Absent => "not deployed",
            Self::Unsettled(_) => "not looked at",
            Self::Found(found) if found.resources.is_empty() => "as deployed",
            Self::Found(_) => "not as deployed",
        }
    }
}

/// What was found in a stack.
pub(super) struct Found {
    key: StackKey,
    deployed: Template,
    parameters: BTreeMap<String, ParameterValue>,
    resources: Vec<LiveResource>,
    pub(super) unchecked: Vec<Unchecked>,
    pub(super) unseen: Vec<Unseen>,
}

impl Found {
    /// What the comparison needs.
    pub(super) fn live(&self) -> LiveStack<'_> {
        LiveStack {
            key: diff::StackKey::new(self.key.name.clone(), self.key.region.clone()),
            deployed: &self.deployed,
            parameters: self.parameters.clone(),
            resources: self.resources.clone(),
        }
    }
}

/// Looks at a stack.
pub(super) async fn look_at(cloud: &impl Cloud, stack: &Stack) -> Result<Looked, CallError> {
    let Some(Deployed { observed, template }) = look(cloud, stack).await? else { return Ok(Looked::Absent) };
    let region = &stack.key.region;
    // By id: another stack of that name would have other resources.
    let target = StackRef { region, name: &observed.id };
    let text = match (template, observed.status.as_str()) {
        (Some(text), _) => text,
        // A deployment can do nothing with it, and CloudFormation looks for drift all the same.
        (None, "UPDATE_ROLLBACK_FAILED") => patiently(cloud, region, async || cloud.template(target).await).await?,
        (None, _) if is_empty(&observed.status) => return Ok(Looked::Absent),
        (None, status) => return Ok(Looked::Unsettled(format!("it is in {status}"))),
    };
    let deployed = match Template::parse(&text) {
        Ok(deployed) => deployed,
        Err(error) => return Ok(Looked::Unsettled(format!("its template can't be compared: {error}"))),
    };
    let search = match searched(cloud, target).await {
        Ok(search) => search,
        Err(error) if error.class == CallClass::Refused => {
            return Ok(Looked::Unsettled(format!("CloudFormation doesn't look: {}", error.source)));
        }
        Err(error) => return Err(error),
    };
    let drifts = all_drifts(cloud, target).await?;
    let there = patiently(cloud, region, async || cloud.resources(target).await).await?;
    // What was deleted long ago is listed too.
    let there: Vec<Provisioned> = there.into_iter().filter(|one| !one.status.starts_with("DELETE_")).collect();
    let codes = codes(cloud, region, &deployed, &observed, &there).await?;
    Ok(Looked::Found(together(&stack.key, deployed, observed, &search, drifts, &there, &codes)))
}

/// Whether a stack in that state has no resources: none was made yet, or all are deleted again.
fn is_empty(status: &Status) -> bool {
    status.standing() == Standing::Deleted || matches!(status.as_str(), "REVIEW_IN_PROGRESS" | "ROLLBACK_COMPLETE")
}

/// Whether one of the stacks is there, with resources.
pub(super) async fn is_any_there(cloud: &impl Cloud, stacks: &[Stack]) -> Result<bool, CallError> {
    let there = each(stacks, |stack| async move {
        let target = StackRef { region: &stack.key.region, name: &stack.cloudformation_name };
        let observed = patiently(cloud, target.region, async || cloud.stack(target).await).await?;
        Ok(observed.is_some_and(|observed| !is_empty(&observed.status)))
    });
    there.await.into_iter().try_fold(false, |any, there| Ok(any || there?))
}

/// Has CloudFormation search, and waits until it has.
async fn searched(cloud: &impl Cloud, target: StackRef<'_>) -> Result<DriftDetection, CallError> {
    let mut looks = 0;
    let id = loop {
        match patiently(cloud, target.region, async || cloud.detect_drift(target).await).await {
            Ok(id) => break id,
            // Somebody else's search ends in time.
            Err(error) if error.source.to_string().contains("in progress") && looks < MOST_LOOKS => {
                cloud.pause(target.region, looks).await;
                looks += 1;
            }
            Err(error) => return Err(error),
        }
    };
    loop {
        let found = patiently(cloud, target.region, async || cloud.drift_detection(target, &id).await).await?;
        if found.state != DetectionState::Running {
            return Ok(found);
        }
        if looks >= MOST_LOOKS {
            let reason = Some("the search didn't end".to_owned());
            return Ok(DriftDetection { state: DetectionState::Failed, reason, ..found });
        }
        cloud.pause(target.region, looks).await;
        looks += 1;
    }
}

/// Every page of what was found.
async fn all_drifts(cloud: &impl Cloud, target: StackRef<'_>) -> Result<Vec<ResourceDrift>, CallError> {
    let (mut all, mut token) = (Vec::new(), None::<String>);
    loop {
        let page = patiently(cloud, target.region, async || cloud.drifts(target, token.as_deref()).await).await?;
        all.extend(page.0);
        token = page.1;
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Digests of a function's code, in base64.
struct Code {
    /// Of what was deployed; none when its object isn't named by it.
    deployed: Option<String>,
    /// Of what it runs; none when there is no such function.
    runs: Option<String>,
}

/// The code of each function whose code is an input of the stack.
async fn codes(
    cloud: &impl Cloud,
    region: &str,
    deployed: &Template,
    observed: &Observed,
    there: &[Provisioned],
) -> Result<BTreeMap<String, Code>, CallError> {
    let mut codes = BTreeMap::new();
    for one in there.iter().filter(|one| one.resource_type == "AWS::Lambda::Function") {
        let parameter = deployed.document()["Resources"][&one.logical_id].pointer("/Properties/Code/S3Key/Ref");
        let key = parameter.and_then(Value::as_str).and_then(|name| observed.parameters.get(name));
        let Some(key) = key else { continue };
        let function = &one.physical_id;
        let runs = patiently(cloud, region, async || cloud.code_digest(region, function).await).await?;
        codes.insert(one.logical_id.clone(), Code { deployed: digest_in(key), runs });
    }
    Ok(codes)
}

/// The digest in the key of a program's code (`functions/<program>/<hexadecimal SHA-256>.zip`), as Lambda writes it.
fn digest_in(key: &str) -> Option<String> {
    let name = key.rsplit('/').next()?.strip_suffix(".zip")?;
    let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pair = |at: usize| u8::from_str_radix(name.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..name.len()).step_by(2).map(pair).collect();
    bytes.filter(|_| is_digest).map(|bytes| STANDARD.encode(bytes))
}

fn together(
    key: &StackKey,
    deployed: Template,
    observed: Observed,
    search: &DriftDetection,
    drifts: Vec<ResourceDrift>,
    there: &[Provisioned],
    codes: &BTreeMap<String, Code>,
) -> Found {
    let mut by_id: BTreeMap<String, ResourceDrift> = BTreeMap::new();
    for drift in drifts {
        by_id.insert(drift.logical_id.clone(), drift);
    }
    let mut unchecked = Vec::new();
    let mut resources = Vec::new();
    for one in there {
        let (id, kind) = (&one.logical_id, &one.resource_type);
        let not_looked_at = |reason: Option<String>| Unchecked::resource(key, id, kind, reason);
        let mut state = match by_id.remove(id) {
            None => {
                unchecked.push(not_looked_at(None));
                None
            }
            Some(drift) if is_older(&drift, search) => {
                let reason = search.reason.clone().unwrap_or_else(|| "the search left it out".to_owned());
                unchecked.push(not_looked_at(Some(reason)));
                None
            }
            Some(drift) => match drift.status {
                DriftStatus::InSync => None,
                DriftStatus::Deleted => Some(LiveState::Gone),
                DriftStatus::Modified => Some(differs(&drift)),
                DriftStatus::NotChecked(reason) => {
                    unchecked.push(not_looked_at(reason));
                    None
                }
                DriftStatus::Unknown(reason) => {
                    let reason = reason.or_else(|| search.reason.clone());
                    let reason = reason.unwrap_or_else(|| "CloudFormation gives no reason".to_owned());
                    unchecked.push(not_looked_at(Some(reason)));
                    None
                }
            },
        };
        if let Some(code) = codes.get(id) {
            add_code(&mut state, code);
        }
        if let Some(state) = state {
            resources.push(LiveResource { logical_id: id.clone(), resource_type: kind.clone(), state });
        }
    }
    if search.state == DetectionState::Failed && unchecked.iter().all(|one| one.reason.is_none()) {
        // It failed for something that isn't named.
        let reason = search.reason.clone().unwrap_or_else(|| "the search failed for some resources".to_owned());
        unchecked.push(Unchecked::stack(key, reason));
    }
    let compared: BTreeSet<&str> =
        codes.iter().filter(|(_, code)| code.deployed.is_some()).map(|(id, _)| id.as_str()).collect();
    Found {
        key: key.clone(),
        unseen: unseen(key, &deployed, there, &compared),
        parameters: observed.parameters.into_iter().map(|(name, value)| (name, ParameterValue::Known(value))).collect(),
        deployed,
        resources,
        unchecked,
    }
}

/// Whether it was found by an earlier search, and this one has left the resource out.
fn is_older(drift: &ResourceDrift, search: &DriftDetection) -> bool {
    matches!((drift.found_at, search.begun), (Some(found), Some(begun)) if found < begun)
}

fn differs(drift: &ResourceDrift) -> LiveState {
    let object = |text: &Option<String>| -> Map<String, Value> {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let differences = drift.differences.iter().map(|one| LiveDifference {
        path: one.path.trim_start_matches('/').to_owned(),
        expected: one.expected.as_deref().map(value_of),
        actual: one.actual.as_deref().map(value_of),
    });
    LiveState::Differs {
        expected: object(&drift.expected),
        actual: object(&drift.actual),
        differences: differences.collect(),
    }
}

/// A value in a difference: objects and lists stand there as JSON, everything else as it is, and `1.30` is not `1.3`.
fn value_of(text: &str) -> Value {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    // What prints otherwise than it was read isn't what it was: `1.30` is no number.
    let is_same = |value: &Value| {
        let printed = value.to_string();
        text.starts_with(['{', '[']) || (!value.is_string() && printed == text)
    };
    parsed.filter(is_same).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Adds what the digests say of a function's code.
fn add_code(state: &mut Option<LiveState>, code: &Code) {
    let (Some(deployed), Some(runs)) = (&code.deployed, &code.runs) else {
        if code.runs.is_none() {
            *state = Some(LiveState::Gone);
        }
        return;
    };
    if deployed == runs {
        return;
    }
    let difference = LiveDifference {
        path: "Code".to_owned(),
        expected: Some(Value::String(deployed.clone())),
        actual: Some(Value::String(runs.clone())),
    };
    match state {
        Some(LiveState::Differs { differences, .. }) => differences.push(difference),
        Some(LiveState::Gone) => {}
        None => {
            let (expected, actual) = (Map::new(), Map::new());
            *state = Some(LiveState::Differs { expected, actual, differences: vec![difference] });
        }
    }
}

/// Properties that are set and that no service gives back.
fn unseen(key: &StackKey, deployed: &Template, there: &[Provisioned], compared: &BTreeSet<&str>) -> Vec<Unseen> {
    let exists: BTreeSet<&str> = there.iter().map(|one| one.logical_id.as_str()).collect();
    let mut unseen = Vec::new();
    for (id, resource) in resources_of(deployed.document()).filter(|(id, _)| exists.contains(id)) {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let write_only = cfn::describe(kind).map_or(&[] as &[&str], |description| description.write_only);
        let is_compared = |path: &str| compared.contains(id) && path.starts_with("Code/");
        let set = write_only.iter().filter(|path| !is_compared(path) && is_set(&resource["Properties"], path));
        unseen.extend(set.map(|path| Unseen {
            stack: key.clone(),
            logical_id: id.to_owned(),
            resource_type: kind.to_owned(),
            property: (*path).to_owned(),
        }));
    }
    unseen
}

/// Whether something stands at the path; `*` is each item of a list.
fn is_set(value: &Value, path: &str) -> bool {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let below = |value: &Value| rest.is_none_or(|rest| is_set(value, rest));
    match value {
        Value::Array(items) if first == "*" => items.iter().any(below),
        Value::Object(fields) => fields.get(first).is_some_and(below),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_is_in_the_key() {
        let digest = ring::digest::digest(&ring::digest::SHA256, b"code");
        let hex = crate::artifacts::hex_sha256(b"code");
        assert_eq!(digest_in(&format!("functions/event-router/{hex}.zip")), Some(STANDARD.encode(digest)));
        for odd in ["functions/event-router/1.zip", "", "x.zip", &format!("{}.zip", "z".repeat(64)), &hex] {
            assert_eq!(digest_in(odd), None, "{odd}");
        }
        assert_eq!(digest_in(&format!("{}.zip", "ä".repeat(32))), None);
    }

    #[test]
    fn no_scalar_is_written_in_another_way() {
        for text in ["1.30", "1e3", "007", "\"quoted\"", "", "10000000000000000000000", "{no json", "[x"] {
            assert_eq!(value_of(text), Value::String(text.to_owned()));
        }
        for text in ["0", "60", "true", "1.5"] {
            assert_eq!(value_of(text).to_string(), text);
        }
        assert_eq!(value_of(r#"{"maxReceiveCount": 5}"#), json!({ "maxReceiveCount": 5 }));
        assert_eq!(value_of(r#"["1.30"]"#), json!(["1.30"]));
    }

    #[test]
    fn items_of_lists_are_looked_into() {
        let value = json!({ "Rules": [{}, { "Prefix": "x" }], "Code": { "S3Key": { "Ref": "Code" } } });
        for (path, expected) in
            [("Rules/*/Prefix", true), ("Rules/*/Other", false), ("Code/S3Key", true), ("Code/ZipFile", false)]
        {
            assert_eq!(is_set(&value, path), expected, "{path}");
        }
    }
}
