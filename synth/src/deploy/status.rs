//! Tells how the environment stands: its stacks region by region, the code of its functions, the local platform.
//!
//! Only reads. What the code says is compared by template and tags; parameter values would need a build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::future::try_join_all;
use infra::environment::{Environment, Target};
use serde::Serialize;

use super::cloud::{CallClass, CallError, Cloud, Standing, Status};
use super::draft::{reduced, stacks_of};
use super::outcome::call_error;
use super::plan::{Deployed, look};
use super::revision::in_change_set;
use super::sdk::Endpoint;
use super::system::{Stack, StackKey};
use super::verify::{FunctionCode, function_codes};
use super::{connect, endpoint_of, platform};
use crate::artifacts::Artifacts;
use crate::error::Error;
use crate::local::{Platform, PlatformStatus};
use crate::ui::table;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
}

/// How an environment stands.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// Whether the cloud (or the local platform) could be asked; everything is missing when it isn't there.
    pub reachable: bool,
    /// Why what is there could not be asked; the stacks are unknown then.
    pub cause: Option<String>,
    /// Its stacks, in deploy order.
    pub stacks: Vec<StackStatus>,
    /// Its functions and the code that they run.
    pub functions: Vec<FunctionCode>,
    /// The local platform, when that is the target and it runs.
    pub platform: Option<PlatformStatus>,
}

/// How one stack stands.
#[derive(Clone, Debug, Serialize)]
pub struct StackStatus {
    /// The stack.
    pub stack: StackKey,
    /// Its name in CloudFormation.
    pub cloudformation_name: String,
    /// Its status; none when it isn't there.
    pub status: Option<Status>,
    /// When it was last changed, RFC 3339.
    pub changed_at: Option<String>,
    /// The commit that it was last changed from; none when it wasn't this tool, or outside a repository.
    pub revision: Option<String>,
    /// How it compares with the code.
    pub compared: Compared,
}

/// How a deployed stack compares with the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// Template and tags are the same.
    UpToDate,
    /// A deployment would change it.
    Pending,
    /// It isn't there.
    Missing,
    /// An operation runs or was broken off; see the status.
    Unsettled,
    /// It could not be asked for; the report has the cause.
    Unknown,
}

impl Compared {
    fn says(self) -> &'static str {
        match self {
            Self::UpToDate => "up to date",
            Self::Pending => "changes pending",
            Self::Missing => "missing",
            Self::Unsettled => "unsettled",
            Self::Unknown => "unknown",
        }
    }
}

/// Looks at the environment.
///
/// # Errors
/// The cloud can't be asked: no credentials, another account, no answer. A local platform that doesn't run is no error.
pub async fn run(environment: &Environment, options: &Options) -> Result<Report, Error> {
    let stacks = stacks_of(environment)?;
    match environment.target() {
        Target::Aws => {
            let clouds = connect(environment, Endpoint::Aws).await;
            clouds.check_account(environment.account().as_str()).await?;
            let looked = look_at(&clouds, &stacks).await.map_err(|error| call_error("AWS can't be asked", error))?;
            Ok(report(environment, Answer::Looked(looked), None))
        }
        Target::Local => local(environment, &options.checkout, stacks).await,
    }
}

async fn local(environment: &Environment, checkout: &Path, stacks: Vec<Stack>) -> Result<Report, Error> {
    let name = environment.environment_name();
    if let Some(processes) = Platform::unrecorded(checkout, name)? {
        let cause = "the platform's record is gone, so nobody knows its addresses".to_owned();
        return Ok(report(environment, Answer::Unknown(stacks, cause), Some(processes)));
    }
    let Some(platform) = Platform::find(checkout, name)? else {
        return Ok(report(environment, Answer::NotThere(stacks), None));
    };
    let processes = platform.status().await?;
    let unknown = |stacks, error: &Error| {
        let cause = std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join(": ");
        Answer::Unknown(stacks, cause)
    };
    // A dead emulator is what status is asked about, so that is an answer and no error.
    let types = match platform::resource_types(&platform.endpoint_url).await {
        Ok(types) => types,
        Err(error) => return Ok(report(environment, unknown(stacks, &error), Some(processes))),
    };
    let stacks = match types {
        Some(types) => reduced(stacks, &types.accepted()).0,
        None => stacks,
    };
    let clouds = connect(environment, endpoint_of(&platform)).await;
    match look_at(&clouds, &stacks).await {
        Ok(looked) => Ok(report(environment, Answer::Looked(looked), Some(processes))),
        Err(error) if error.class == CallClass::Unreachable => {
            let error = call_error("the emulator does not answer", error);
            Ok(report(environment, unknown(stacks, &error), Some(processes)))
        }
        Err(error) => Err(call_error("the local platform can't be asked", error)),
    }
}

type Looked = (Vec<StackStatus>, Vec<FunctionCode>);

/// What came of asking for the stacks.
enum Answer {
    Looked(Looked),
    /// There is no platform, and so no stack.
    NotThere(Vec<Stack>),
    /// There is something, and it does not answer, for this cause.
    Unknown(Vec<Stack>, String),
}

fn report(environment: &Environment, answer: Answer, platform: Option<PlatformStatus>) -> Report {
    let all = |stacks: &[Stack], compared| {
        stacks.iter().map(|stack| StackStatus { compared, ..status_of(stack, None) }).collect::<Vec<_>>()
    };
    let (reachable, cause, (stacks, functions)) = match answer {
        Answer::Looked(looked) => (true, None, looked),
        Answer::NotThere(stacks) => (false, None, (all(&stacks, Compared::Missing), Vec::new())),
        Answer::Unknown(stacks, cause) => (false, Some(cause), (all(&stacks, Compared::Unknown), Vec::new())),
    };
    Report { environment: environment.environment_name().to_owned(), reachable, cause, stacks, functions, platform }
}

async fn look_at(cloud: &impl Cloud, stacks: &[Stack]) -> Result<Looked, CallError> {
    let deployed = try_join_all(stacks.iter().map(|stack| look(cloud, stack))).await?;
    let settled: Vec<&Stack> = stacks
        .iter()
        .zip(&deployed)
        .filter(|(_, deployed)| deployed.as_ref().is_some_and(|deployed| deployed.template.is_some()))
        .map(|(stack, _)| stack)
        .collect();
    let functions = function_codes(cloud, &settled, &Artifacts::default()).await?;
    let stacks = stacks.iter().zip(&deployed).map(|(stack, deployed)| status_of(stack, deployed.as_ref()));
    Ok((stacks.collect(), functions))
}

fn status_of(stack: &Stack, deployed: Option<&Deployed>) -> StackStatus {
    let compared = match deployed {
        None => Compared::Missing,
        Some(Deployed { observed, template: Some(template) }) => {
            let same = stack.template.says_the_same_as(template) && observed.tags == stack.tags;
            match (same, observed.status.standing()) {
                (true, Standing::Good) => Compared::UpToDate,
                _ => Compared::Pending,
            }
        }
        Some(Deployed { template: None, .. }) => Compared::Unsettled,
    };
    StackStatus {
        stack: stack.key.clone(),
        cloudformation_name: stack.cloudformation_name.clone(),
        status: deployed.map(|deployed| deployed.observed.status.clone()),
        changed_at: deployed.and_then(|deployed| deployed.observed.changed_at.clone()),
        revision: deployed.and_then(|deployed| in_change_set(deployed.observed.change_set.as_deref()?)),
        compared,
    }
}

impl Report {
    /// Whether everything is deployed, as the code says, and running.
    pub fn is_healthy(&self) -> bool {
        self.reachable
            && self.stacks.iter().all(|stack| stack.compared == Compared::UpToDate)
            && self.platform.as_ref().is_none_or(PlatformStatus::is_healthy)
    }

    /// The report for people, line by line: regions stand side by side.
    pub fn render(&self) -> Vec<String> {
        let mut regions: Vec<&str> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let mut by_place: BTreeMap<(&str, &str), &StackStatus> = BTreeMap::new();
        for stack in &self.stacks {
            let (name, region) = (stack.stack.name.as_str(), stack.stack.region.as_str());
            if !regions.contains(&region) {
                regions.push(region);
            }
            if !names.contains(&name) {
                names.push(name);
            }
            by_place.insert((name, region), stack);
        }
        let mut rows =
            vec![std::iter::once("stack").chain(regions.iter().copied()).map(str::to_owned).collect::<Vec<_>>()];
        for name in names {
            let mut row = vec![name.to_owned()];
            row.extend(
                regions
                    .iter()
                    .map(|region| by_place.get(&(name, *region)).map_or("—".to_owned(), |stack| cell(stack))),
            );
            rows.push(row);
        }
        let mut lines = table(&rows);
        if !self.functions.is_empty() {
            lines.push(String::new());
            lines.extend(table(&self.function_rows()));
        }
        if let Some(cause) = &self.cause {
            lines.push(String::new());
            lines.push(format!("the stacks are unknown: {cause}"));
        }
        lines.push(String::new());
        match &self.platform {
            Some(platform) => lines.extend(platform_lines(platform)),
            None if !self.reachable && self.cause.is_none() => {
                lines.push(format!("the local platform of `{}` does not run", self.environment));
            }
            None => {
                lines.pop();
            }
        }
        lines
    }

    /// A row a function; a program whose regions run different code is marked.
    fn function_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["function", "region", "code", ""].map(str::to_owned).to_vec()];
        for function in &self.functions {
            let codes: BTreeSet<_> = self
                .functions
                .iter()
                .filter(|other| other.program == function.program)
                .map(|other| &other.runs)
                .collect();
            let code = function.runs.as_deref().map_or("missing", |code| code.get(..12).unwrap_or(code));
            let note = if codes.len() > 1 { "regions differ" } else { "" };
            let row = [function.function.as_str(), function.stack.region.as_str(), code, note];
            rows.push(row.map(str::to_owned).to_vec());
        }
        rows
    }
}

fn cell(stack: &StackStatus) -> String {
    let mut parts = vec![stack.compared.says().to_owned()];
    // What is up to date is also at rest.
    let status = stack.status.as_ref().filter(|_| stack.compared != Compared::UpToDate);
    parts.extend(status.map(ToString::to_string));
    // Seconds are enough for people; the JSON form has the whole time.
    parts.extend(
        stack.changed_at.as_ref().map(|time| time.split('.').next().unwrap_or(time).trim_end_matches('Z').to_owned()),
    );
    parts.extend(stack.revision.as_ref().map(|revision| format!("from {revision}")));
    parts.join(", ")
}

fn platform_lines(platform: &PlatformStatus) -> Vec<String> {
    if !platform.unrecorded.is_empty() {
        let pids: Vec<String> = platform.unrecorded.iter().map(u32::to_string).collect();
        return vec![
            format!("{} processes run of which there is no record: {}", pids.len(), pids.join(", ")),
            "`synth destroy` and `synth local down` end them".to_owned(),
        ];
    }
    let mut rows = vec![["process", "state", "pid", "port", "up", "restarts"].map(str::to_owned).to_vec()];
    for process in &platform.processes {
        let state = match (process.running, process.healthy) {
            (true, true) => "healthy",
            (true, false) => "not serving",
            (false, _) => "dead",
        };
        let number = |number: Option<String>| number.unwrap_or_else(|| "—".to_owned());
        rows.push(vec![
            process.name.clone(),
            state.to_owned(),
            number(process.pid.map(|pid| pid.to_string())),
            number(process.port.map(|port| port.to_string())),
            number(process.uptime_secs.map(|up| format!("{up} s"))),
            process.restarts.to_string(),
        ]);
    }
    let mut lines = table(&rows);
    lines.extend((platform.others > 0).then(|| format!("and {} processes of functions", platform.others)));
    lines.extend(
        (!platform.supervised).then(|| "nothing restarts what dies: the supervisor is gone; deploy again".to_owned()),
    );
    lines.extend(
        platform.state_lost_at.as_ref().map(|at| format!("the emulator lost everything at {at}; deploy again")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(name: &str, region: &str, compared: Compared) -> StackStatus {
        let there = !matches!(compared, Compared::Missing | Compared::Unknown);
        StackStatus {
            stack: StackKey::new(name, region),
            cloudformation_name: format!("tandem-test-{name}"),
            status: there.then(|| Status::new("CREATE_COMPLETE")),
            changed_at: there.then(|| "2026-11-21T10:00:00Z".to_owned()),
            revision: (there && name == "events").then(|| "0123456789ab with changes".to_owned()),
            compared,
        }
    }

    #[test]
    fn regions_stand_side_by_side() {
        let function = |region: &str, code: &str| FunctionCode {
            stack: StackKey::new("events", region),
            function: "tandem-test-event-router".to_owned(),
            program: "event-router".to_owned(),
            runs: Some(code.to_owned()),
            built: None,
        };
        let report = Report {
            environment: "test".to_owned(),
            reachable: true,
            cause: None,
            stacks: vec![
                stack("data", "us-west-2", Compared::UpToDate),
                stack("events", "us-west-2", Compared::Pending),
                stack("events", "us-east-1", Compared::Missing),
            ],
            functions: vec![function("us-west-2", "AAAABBBBCCCCDDDD"), function("us-east-1", "ZZZZ")],
            platform: None,
        };
        assert_eq!(
            report.render().join("\n"),
            "stack   us-west-2                                                                              us-east-1\n\
             data    up to date, 2026-11-21T10:00:00                                                        —\n\
             events  changes pending, CREATE_COMPLETE, 2026-11-21T10:00:00, from 0123456789ab with changes  missing\n\
             \n\
             function                  region     code\n\
             tandem-test-event-router  us-west-2  AAAABBBBCCCC  regions differ\n\
             tandem-test-event-router  us-east-1  ZZZZ          regions differ"
        );
        assert!(!report.is_healthy());
    }

    #[test]
    fn what_could_not_be_asked_is_not_called_missing() {
        let report = Report {
            environment: "test".to_owned(),
            reachable: false,
            cause: Some("connection refused".to_owned()),
            stacks: vec![stack("data", "us-west-2", Compared::Unknown)],
            functions: Vec::new(),
            platform: None,
        };
        let text = report.render().join("\n");
        assert!(
            text.starts_with("stack  us-west-2\ndata   unknown\n\nthe stacks are unknown: connection refused"),
            "{text}"
        );
        assert!(!text.contains("missing") && !text.contains("does not run"), "{text}");
    }
}
