//! All stacks of an environment, in the order in which they can be created.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use cfn::Template;
use contracts::Region;

use crate::environment::{Environment, RegionSettings};
use crate::stacks::{
    access, api, cluster, data, delivery, events, keys, network, observability, routing, secrets, state,
};

/// Every stack of one environment.
#[derive(Debug)]
pub struct System {
    /// Stacks in an order in which each comes after those it depends on.
    pub stacks: Vec<StackInstance>,
    /// What is wrong with the bindings of programs in any stack; empty when all is well.
    pub mistakes: Vec<String>,
}

/// One stack in one region.
#[derive(Debug)]
pub struct StackInstance {
    /// Which stack, and where.
    pub id: StackId,
    /// The name that CloudFormation knows it by.
    pub cloudformation_name: String,
    /// Its template.
    pub template: Template,
    /// Parameters that are filled in when the stack is deployed.
    pub inputs: Vec<Input>,
    /// Stacks that must be there first.
    pub depends_on: Vec<StackId>,
    /// What is wrong with the bindings of its programs; empty when all is well.
    pub mistakes: Vec<String>,
    /// Tags of the stack, which CloudFormation hands on to its resources.
    pub tags: BTreeMap<String, String>,
    /// Whether CloudFormation refuses to delete the stack.
    pub termination_protection: bool,
    /// What alarms of the region watch.
    pub watches: Vec<Watch>,
    /// Which way events and data flow.
    pub flows: Vec<Flow>,
    /// Where each statement of its roles comes from.
    pub grants: Vec<Grant>,
    /// Name of the role, without a path, that CloudFormation makes and deletes the stack with; none: with the caller's
    /// own rights.
    pub execution_role: Option<String>,
    /// What undoes an update of it.
    pub bake: Option<Bake>,
}

/// The time after an update in which an alarm undoes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bake {
    /// The stack that has the alarm: before it is there, nothing can be watched.
    pub watched_by: StackId,
    /// Name of the composite alarm.
    pub alarm: String,
    /// How long, in whole minutes.
    pub minutes: u32,
}

/// Something that can go wrong while the system runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The logical id of the resource in its stack.
    pub logical_id: String,
    /// What is watched.
    pub subject: Subject,
}

impl Watch {
    /// What there is to watch in `region` of something that is declared in `home`: all of it at home, and of a table that
    /// is replicated to `region` the replica there, which has the home region among the receivers of its changes.
    fn seen_in(&self, home: &Region, region: &Region) -> Option<Self> {
        if home == region {
            return Some(self.clone());
        }
        let Subject::Table { table, replicas, lags } = &self.subject else {
            return None;
        };
        if !replicas.contains(region) {
            return None;
        }
        let others = replicas.iter().filter(|other| *other != region).cloned();
        let replicas = [home.clone()].into_iter().chain(others).collect();
        Some(Self { subject: Subject::Table { table: table.clone(), replicas, lags: *lags }, ..self.clone() })
    }
}

/// What a [`Watch`] looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A queue that should be empty: what is in it was given up on.
    DeadLetters {
        /// The queue's name.
        queue: String,
    },
    /// A queue that should be empty: in it are places in a stream that was given up on, without the records. The stream
    /// forgets those 24 hours after their change, so what waits here is urgent.
    Pointers {
        /// The queue's name.
        queue: String,
    },
    /// A queue that somebody works on.
    WorkQueue {
        /// The queue's name.
        queue: String,
    },
    /// A function.
    Function {
        /// The function's name.
        function: String,
        /// The longest run.
        timeout: Duration,
        /// Whether it reads streams, so that it can fall behind.
        reads_streams: bool,
    },
    /// A rule of the region's event bus.
    Rule {
        /// The bus's name.
        bus: String,
        /// The rule's name.
        rule: String,
    },
    /// A schedule that starts a function.
    Schedule {
        /// Name of the schedule's group.
        group: String,
    },
    /// A table.
    Table {
        /// The table's name.
        table: String,
        /// The regions that its changes are replicated to.
        replicas: Vec<Region>,
        /// Whether changes reach the replicas later; otherwise a write waits for them.
        lags: bool,
    },
    /// An HTTP API, by the route that its clients use. The API's metrics as a whole count what the health route answers
    /// too, and its 503 is an answer and no failure.
    Api {
        /// The API's name.
        api: String,
        /// The output of the region's `api` stack that holds the API's id: it is known only when the API is there.
        id_output: String,
        /// The stage.
        stage: String,
        /// The route's method.
        method: String,
        /// The route's path.
        path: String,
    },
    /// A NAT gateway.
    NatGateway {
        /// The output of the region's `network` stack that holds the gateway's id, which EC2 chooses.
        id_output: String,
        /// The number of its zone, from 1.
        zone: u32,
    },
    /// A Kubernetes cluster.
    Cluster {
        /// The cluster's name.
        cluster: String,
    },
}

/// One way that events or data go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Where it begins.
    pub from: Place,
    /// What is done, such as `publishes to`.
    pub verb: String,
    /// Where it ends.
    pub to: Place,
}

/// One end of a [`Flow`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The kind, such as `function` or `event bus`.
    pub kind: &'static str,
    /// The name without the environment, such as `event-router`.
    pub name: String,
    /// The region; none for what is outside of the regions.
    pub region: Option<Region>,
}

/// Where a statement of a role's policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The role's logical id.
    pub role: String,
    /// The statement's id.
    pub sid: String,
    /// Who needs it, and for what.
    pub why: String,
    /// The line that asks for it.
    pub location: &'static Location<'static>,
}

/// A stack of this system in one region, such as `data@us-west-2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId {
    /// The stack's short name.
    pub name: &'static str,
    /// Its region.
    pub region: Region,
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.region)
    }
}

/// A parameter that is filled in when its stack is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The template's parameter.
    pub parameter: String,
    /// Where its value comes from.
    pub source: Source,
}

/// Where the value of an [`Input`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An output of another stack, in whatever region that is.
    StackOutput {
        /// The stack that has it.
        stack: StackId,
        /// The output's name.
        output: String,
    },
    /// The ARN of a table's stream in the stack's own region.
    ///
    /// It has a time stamp of its own in each region, so it can't be computed and no template can refer to it:
    /// it is read from the replica.
    TableStream {
        /// The table's name.
        table: String,
    },
    /// The name of the region's artifact bucket.
    CodeBucket,
    /// The key of a program's code in that bucket; it changes exactly when the code does.
    CodeKey {
        /// The program.
        program: &'static str,
    },
}

/// All stacks of `environment`.
pub fn system(environment: &Environment) -> System {
    let mut stacks = vec![keys::primary(environment)];
    stacks.extend(environment.secondaries().map(|region| keys::replica(environment, region)));
    stacks.extend(environment.regions().map(|region| delivery::stack(environment, region)));
    stacks.push(secrets::stack(environment));
    stacks.extend(environment.regions().map(|region| network::stack(environment, region)));
    stacks.push(data::stack(environment));
    stacks.extend(environment.regions().map(|region| state::stack(environment, region)));
    add_waves(environment, &mut stacks);
    stacks.extend(routing::stack(environment));
    stacks.extend(routing::alarms(environment));

    // It makes the roles that CloudFormation works with, so it knows all stacks and comes before them.
    let access = access::stack(environment, &stacks);
    for stack in &mut stacks {
        stack.depends_on.insert(0, access.id.clone());
    }
    let drift = access::drift(environment, &access, &stacks);
    stacks.insert(0, access);
    // It looks at all stacks and none needs it.
    stacks.extend(drift);
    let mistakes = stacks.iter().flat_map(|stack| stack.mistakes.clone()).collect();
    System { stacks, mistakes }
}

/// The stacks that a region's release consists of.
const RELEASED: [&str; 4] = ["events", "api", "cluster", "observability"];

/// Adds the stacks that run code. Lower waves go first and are finished before the next begins: a bad release meets the
/// region that can be spared.
fn add_waves(environment: &Environment, stacks: &mut Vec<StackInstance>) {
    let mut by_wave: Vec<_> = environment.region_settings().iter().collect();
    by_wave.sort_by_key(|settings| settings.wave);
    let mut earlier: Vec<StackId> = Vec::new();
    for wave in by_wave.chunk_by(|one, other| one.wave == other.wave) {
        let mut released = Vec::new();
        for RegionSettings { region, .. } in wave {
            let mut rolled = vec![
                events::stack(environment, region),
                api::stack(environment, region),
                cluster::stack(environment, region),
            ];
            let declared = stacks.iter().chain(&rolled);
            let watches: Vec<Watch> = declared
                .flat_map(|stack| stack.watches.iter().filter_map(|watch| watch.seen_in(&stack.id.region, region)))
                .collect();
            let alarms = observability::stack(environment, region, &watches);
            if let Some(bake) = bake(environment, &alarms) {
                rolled.iter_mut().for_each(|stack| stack.bake = Some(bake.clone()));
            }
            rolled.push(alarms);
            for stack in &mut rolled {
                stack.depends_on.extend(earlier.iter().cloned());
                released.push(stack.id.clone());
            }
            stacks.extend(rolled);
        }
        earlier.extend(released);
    }
}

/// The stacks that run code, wave by wave: what a region's release consists of.
pub fn waves(environment: &Environment) -> Vec<Vec<StackId>> {
    let mut by_wave: Vec<_> = environment.region_settings().iter().collect();
    by_wave.sort_by_key(|settings| settings.wave);
    let of_region = |settings: &&RegionSettings| {
        let region = settings.region.clone();
        RELEASED.map(|name| StackId { name, region: region.clone() })
    };
    by_wave
        .chunk_by(|one, other| one.wave == other.wave)
        .map(|wave| wave.iter().flat_map(of_region).collect())
        .collect()
}

/// On AWS only: no other platform has alarms.
fn bake(environment: &Environment, alarms: &StackInstance) -> Option<Bake> {
    let minutes = u32::try_from(environment.rollout().bake.as_secs() / 60).ok()?;
    (minutes > 0 && !environment.is_local()).then(|| Bake {
        watched_by: alarms.id.clone(),
        alarm: environment.name(observability::REGION_UNHEALTHY),
        minutes,
    })
}
