//! Manifests in a deployment: looked at before anybody is asked, and applied as a node of its graph, after the region's
//! stacks and before those of a later wave.

use contracts::Region;
use infra::environment::Environment;
use infra::kubernetes::Folder;
use kubernetes::{Key, Progress, apply};

use super::look::{Asked, Found, Look, look, looks};
use super::reach::Reach;
use super::report::RegionResult;
use super::trouble::{apply_error, conflict_error, survey_error};
use super::{Options, key};
use crate::deploy::Selection;
use crate::deploy::apply::{Follow, FollowStep};
use crate::deploy::inputs::Outputs;
use crate::deploy::pins::PlanFile;
use crate::deploy::system::StackKey;
use crate::error::{Error, Kind};
use crate::ui::Ui;

/// Manifests of the regions that a deployment is about.
pub(crate) struct Following<'a> {
    ui: &'a Ui,
    environment: &'a Environment,
    reach: Reach,
    options: &'a Options,
    /// What was reviewed; nothing without a plan.
    plan: Option<&'a PlanFile>,
    steps: Vec<FollowStep>,
    regions: Vec<&'a Region>,
}

/// What is known before the deployment begins.
pub(crate) struct Prepared<'a> {
    pub(crate) following: Following<'a>,
    /// For whoever has to agree: a line for each object that is touched, or for what isn't known yet.
    pub(crate) lines: Vec<String>,
    /// Whether an application is known to do nothing.
    pub(crate) is_nothing: bool,
}

/// Looks at what the manifests would change, and makes sure that a plan still holds.
///
/// # Errors
/// The plan is stale, or others own what would be changed.
pub(crate) async fn prepare<'a>(
    ui: &'a Ui,
    environment: &'a Environment,
    reach: Reach,
    options: &'a Options,
    selection: &Selection,
    plan: Option<&'a PlanFile>,
    outputs: &Outputs,
) -> Result<Prepared<'a>, Error> {
    let regions = regions(environment, options, selection);
    let looks = looks(&reach, environment, &regions, Folder::Consumer, options, outputs).await?;
    if let Some(plan) = plan {
        holds(environment, plan, &looks)?;
    }
    for look in &looks {
        if let Found::Asked(asked) = &look.found {
            refuse_conflicts(look, asked)?;
        }
    }
    let lines = looks.iter().flat_map(lines).collect();
    let is_nothing = looks.iter().all(Look::is_nothing);
    let steps = steps(environment, &regions);
    let following = Following { ui, environment, reach, options, plan, steps, regions };
    Ok(Prepared { following, lines, is_nothing })
}

/// The regions whose manifests are meant: none where single stacks are chosen.
fn regions<'a>(environment: &'a Environment, options: &Options, selection: &Selection) -> Vec<&'a Region> {
    if environment.is_local() || options.skip || !selection.stacks.is_empty() {
        return Vec::new();
    }
    let is_meant = |region: &&Region| selection.includes(&key(Folder::Consumer, region.as_str()));
    environment.regions().filter(is_meant).collect()
}

/// Where they stand among the stacks.
pub(super) fn steps(environment: &Environment, regions: &[&Region]) -> Vec<FollowStep> {
    let waves = infra::waves(environment);
    let key_of = |id: &infra::StackId| StackKey::new(id.name, id.region.as_str());
    let step = |region: &&Region| {
        let number = waves.iter().position(|wave| wave.iter().any(|id| id.region == **region)).unwrap_or_default();
        let own = waves[number].iter().filter(|id| id.region == **region).map(key_of);
        let later = waves[number + 1..].iter().flatten().map(key_of);
        FollowStep { key: key(Folder::Consumer, region.as_str()), after: own.collect(), before: later.collect() }
    };
    regions.iter().map(step).collect()
}

pub(super) fn holds(environment: &Environment, plan: &PlanFile, looks: &[Look]) -> Result<(), Error> {
    let mut moved = Vec::new();
    for look in looks {
        moved.extend(moved_of(environment, plan, look)?);
    }
    if moved.is_empty() {
        return Ok(());
    }
    let error = Error::new(Kind::Stale, "what was reviewed is not what would be done");
    let name = environment.environment_name();
    Err(moved
        .into_iter()
        .fold(error, Error::detail)
        .hint(format!("make a new plan with `synth diff --env {name} --out <file>` and look at it")))
}

fn moved_of(environment: &Environment, plan: &PlanFile, look: &Look) -> Result<Vec<String>, Error> {
    let Some(pin) = plan.manifests.get(&look.key.to_string()) else {
        return Ok(vec![format!("{} is not in the plan", look.key)]);
    };
    if let (true, Found::Unasked(error)) = (pin.was_asked, &look.found) {
        return Err(Error::remote(format!(
            "the plan says what was in the cluster of {}, which can't be asked now",
            look.region
        ))
        .detail(error.render())
        .hint("deploy from a place that reaches the cluster, or leave it alone with `--skip-manifests`"));
    }
    Ok(pin.moved(environment, look))
}

/// Before anything is changed anywhere.
pub(super) fn refuse_conflicts(look: &Look, asked: &Asked) -> Result<(), Error> {
    let conflicts: Vec<(Key, Vec<kubernetes::Conflict>)> =
        asked.survey.conflicts().map(|(key, conflicts)| (key.clone(), conflicts.to_vec())).collect();
    if conflicts.is_empty() { Ok(()) } else { Err(conflict_error(look.region.as_str(), &conflicts)) }
}

/// What a look says to whoever has to agree.
pub(super) fn lines(look: &Look) -> Vec<String> {
    use kubernetes::{Fate, Verdict};
    match &look.found {
        Found::Unasked(error) => vec![format!("{}: known when it is applied ({error})", look.key)],
        Found::Problems(problems) => problems.iter().map(|problem| format!("{}: {problem}", look.key)).collect(),
        Found::Asked(asked) => {
            let objects = asked.survey.objects.iter().filter_map(|object| match &object.verdict {
                Verdict::Unchanged => None,
                Verdict::Created => Some(format!("{}: create {}", look.key, object.key)),
                Verdict::Changed { changes, .. } => {
                    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
                    let paths = if paths.is_empty() { "whose fields they are".to_owned() } else { paths.join(", ") };
                    Some(format!("{}: change {} ({paths})", look.key, object.key))
                }
                Verdict::Conflicting(_) => Some(format!("{}: conflict at {}", look.key, object.key)),
            });
            let pruned = asked.survey.unwanted.iter().filter(|one| one.fate == Fate::Pruned);
            let pruned = pruned.map(|one| format!("{}: prune {}", look.key, one.key));
            objects.chain(pruned).collect()
        }
    }
}

impl Follow for Following<'_> {
    fn steps(&self) -> &[FollowStep] {
        &self.steps
    }

    async fn follow(&self, step: usize, outputs: &Outputs) -> Result<RegionResult, Error> {
        let look =
            look(&self.reach, self.environment, self.regions[step], Folder::Consumer, self.options, outputs).await?;
        // It was looked at before, but the stacks of the same deployment have taken their time.
        if let Some(plan) = self.plan {
            holds(self.environment, plan, std::slice::from_ref(&look))?;
        }
        applied(self.ui, look, self.options).await
    }
}

/// Applies what was looked at.
pub(crate) async fn applied(ui: &Ui, look: Look, options: &Options) -> Result<RegionResult, Error> {
    let region = look.region.as_str().to_owned();
    let asked = match look.found {
        Found::Asked(asked) => asked,
        Found::Unasked(error) => return Err(error),
        Found::Problems(problems) => {
            return Err(survey_error(&region, kubernetes::SurveyError::Problems(problems)));
        }
    };
    if look.folder == Folder::Consumer {
        asked.image.required(&region)?;
    }
    let consents = options.consents(&look.bundle)?;
    let told = Told { ui, key: &look.key };
    let how = kubernetes::Options { consents, patience: options.patience };
    let done = apply(&asked.cluster, &look.bundle, asked.survey, &how, &told).await;
    let done = done.map_err(|error| apply_error(&region, error))?;
    Ok(RegionResult::of(&look.key, &done))
}

/// Tells what happens, a line each; what stays as it is isn't worth one.
struct Told<'a> {
    ui: &'a Ui,
    key: &'a StackKey,
}

impl Progress for Told<'_> {
    fn phase(&self, key: &Key, text: &str) {
        if text != "unchanged" {
            self.ui.prefixed(&self.key.to_string(), &format!("{key}: {text}"));
        }
    }
}
