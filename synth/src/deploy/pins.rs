//! A plan in a file: what was reviewed, pinned, so that exactly this is deployed or nothing.
//!
//! It names templates by digest, says what was deployed when it was made, and holds the consent to what destroys data. It
//! holds no template and no secret: inputs are names and ARNs. A stack that is already as the plan wants it is done, so that a
//! plan can be carried out in parts and again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use infra::environment::Environment;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Selection;
use super::cloud::{Standing, Status};
use super::guard::Consent;
use super::manifests::Look;
use super::manifests::pins::RegionPin;
use super::survey::Surveyed;
use super::system::{Bake, Stack};
use crate::artifacts::hex_sha256;
use crate::error::{Error, Kind};

/// The form of [`PlanFile`].
const VERSION: u32 = 1;

/// What was reviewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanFile {
    version: u32,
    environment: String,
    account: String,
    /// By stack: `data@us-west-2`.
    stacks: BTreeMap<String, Pin>,
    /// What may be destroyed, and why.
    pub(crate) consents: Vec<Consent>,
    /// By folder and region: `manifests@us-west-2`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) manifests: BTreeMap<String, RegionPin>,
}

/// One stack as it was, and as it shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    /// SHA-256 of the new template.
    template: String,
    /// SHA-256 of the templates on the way to it, in order; none as a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
    /// SHA-256 of what else the stack gets: tags, protection, role, the alarm that undoes an update.
    settings: String,
    /// Inputs that were known; others are decided by stacks that go before.
    parameters: BTreeMap<String, String>,
    /// What was deployed; nothing if the stack was yet to be made.
    deployed: Option<DeployedPin>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeployedPin {
    /// The stack's id: a stack that was deleted and made anew has another.
    stack_id: String,
    /// SHA-256 of its template; nothing while an operation ran.
    template: Option<String>,
    /// When it was last changed.
    changed_at: Option<String>,
}

impl PlanFile {
    /// Pins what was compared.
    pub(crate) fn of(environment: &str, account: &str, surveyed: &[Surveyed], consents: Vec<Consent>) -> Self {
        let stacks = surveyed.iter().map(|one| (one.stack.key.to_string(), Pin::of(one))).collect();
        Self {
            version: VERSION,
            environment: environment.to_owned(),
            account: account.to_owned(),
            stacks,
            consents,
            manifests: BTreeMap::new(),
        }
    }

    /// Pins what was seen in the clusters as well.
    pub(crate) fn with_manifests(mut self, environment: &Environment, looks: &[Look]) -> Self {
        self.manifests = looks.iter().map(|look| (look.key.to_string(), RegionPin::of(environment, look))).collect();
        self
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = || Error::configuration(format!("the plan can't be written to `{}`", path.display()));
        let text = serde_json::to_string_pretty(self).map_err(|error| failed().caused_by(error))?;
        fs::write(path, format!("{text}\n")).map_err(|error| failed().caused_by(error))
    }

    /// Reads a plan for this environment.
    ///
    /// # Errors
    /// The file can't be read, or is no plan for this environment.
    pub(crate) fn read(path: &Path, environment: &str, account: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::configuration(format!("`{}` {what}", path.display()))
                .hint(format!("make a plan with `synth diff --env {environment} --out {}`", path.display()))
        };
        let text = fs::read(path).map_err(|error| wrong("can't be read").caused_by(error))?;
        let version = serde_json::from_slice::<Value>(&text).ok().and_then(|plan| plan["version"].as_u64());
        if let Some(version) = version.filter(|version| *version != u64::from(VERSION)) {
            return Err(wrong(&format!("has version {version}, and this tool reads version {VERSION}")));
        }
        let plan: Self = serde_json::from_slice(&text).map_err(|error| wrong("is no plan").caused_by(error))?;
        if (plan.environment.as_str(), plan.account.as_str()) != (environment, account) {
            return Err(wrong(&format!("is for `{}` in account {}", plan.environment, plan.account)));
        }
        Ok(plan)
    }

    /// Makes sure that what was reviewed is still what would be done to the stacks that are meant.
    ///
    /// # Errors
    /// Something has moved; the error names all of it.
    pub(crate) fn check(&self, surveyed: &[Surveyed], selection: &Selection) -> Result<(), Error> {
        let mut moved: Vec<String> = Vec::new();
        let meant = || surveyed.iter().filter(|one| selection.includes(&one.stack.key));
        for one in meant() {
            let key = &one.stack.key;
            match self.stacks.get(&key.to_string()) {
                None => moved.push(format!("{key} is not in the plan")),
                Some(pin) => moved.extend(pin.moved(one).map(|what| format!("{key}: {what}"))),
            }
        }
        let gone = self.stacks.keys().filter(|key| !surveyed.iter().any(|one| one.stack.key.to_string() == **key));
        if selection.is_everything() {
            moved.extend(gone.map(|key| format!("{key} is in the plan, and the checkout has no such stack")));
        }
        if moved.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::Stale, "what was reviewed is not what would be done");
        let error = moved.into_iter().fold(error, Error::detail);
        Err(error
            .hint(format!("make a new plan with `synth diff --env {} --out <file>` and look at it", self.environment)))
    }
}

impl Pin {
    fn of(one: &Surveyed) -> Self {
        Self {
            template: digest_of(one.stack.template.document()),
            steps: one.intermediate().iter().map(|template| digest_of(template.document())).collect(),
            settings: settings_of(&one.stack),
            parameters: one.known_parameters(),
            deployed: one.deployed.as_ref().map(|deployed| DeployedPin {
                stack_id: deployed.observed.id.clone(),
                template: deployed.template.as_deref().map(digest_of_text),
                changed_at: deployed.observed.changed_at.clone(),
            }),
        }
    }

    /// What isn't as it was when the plan was made.
    fn moved(&self, one: &Surveyed) -> Option<String> {
        let now = Self::of(one);
        if now.template != self.template {
            return Some("the checkout's template is another one".to_owned());
        }
        if now.settings != self.settings {
            return Some("the checkout's tags, protection, role or alarm are others".to_owned());
        }
        if self.deployed.is_some() && now.deployed.is_none() {
            return Some("it has been deleted meanwhile".to_owned());
        }
        // One that wasn't known then is decided by a stack of the same plan.
        let input = self.parameters.iter().find_map(|(name, then)| match now.parameters.get(name) {
            Some(now) if now == then => None,
            Some(now) => Some(format!("input `{name}` is `{now}` now, and was `{then}`")),
            None => Some(format!("input `{name}` was `{then}`, and another stack has to be deployed now to know it")),
        });
        if input.is_some() {
            return input;
        }
        // What the plan wants is there already, by an earlier run of it as a rule.
        if one.is_current {
            return None;
        }
        let status = one.deployed.as_ref().map(|deployed| &deployed.observed.status);
        let standing = status.map(Status::standing);
        match (&self.deployed, &now.deployed) {
            // A run of the plan was killed, or failed: the next waits for what still runs and clears up what is left.
            (None, Some(_)) if matches!(standing, Some(Standing::Leftover | Standing::Busy)) => None,
            (None, Some(_)) => Some("it has been made meanwhile".to_owned()),
            (Some(then), Some(now)) if then.stack_id != now.stack_id => {
                Some("it has been deleted and made anew meanwhile".to_owned())
            }
            // An earlier run of the plan has come this far.
            (Some(_), Some(DeployedPin { template: Some(template), .. })) if self.steps.contains(template) => None,
            // An update failed and was undone, which is a change too.
            (Some(then), Some(now)) if standing == Some(Standing::RolledBack) && then.template == now.template => None,
            (Some(_), Some(_)) if standing == Some(Standing::Busy) => {
                let status = status.map_or("an operation", Status::as_str);
                Some(format!("{status} runs on it; follow it with `synth watch`, and try again when it has ended"))
            }
            (Some(then), Some(now)) if then != now => {
                let at = now.changed_at.as_deref().unwrap_or("a time unknown");
                Some(format!("it has been changed meanwhile, at {at}"))
            }
            _ => None,
        }
    }
}

/// Destructured, so that a stack that gets something more has it pinned.
fn settings_of(stack: &Stack) -> String {
    let Stack {
        key: _,
        cloudformation_name,
        template: _,
        inputs: _,
        depends_on: _,
        tags,
        termination_protection,
        role,
        bake,
    } = stack;
    let bake = bake.as_ref().map(|Bake { watched_by, alarm, minutes }| (watched_by, alarm, minutes));
    let settings = serde_json::json!([cloudformation_name, tags, termination_protection, role, bake]);
    digest_of(&settings)
}

/// Layout and order of keys don't count.
fn digest_of(document: &Value) -> String {
    hex_sha256(document.to_string().as_bytes())
}

fn digest_of_text(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| hex_sha256(text.as_bytes()), |document| digest_of(&document))
}
