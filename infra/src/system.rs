//! All stacks of an environment, in the order in which they can be created.

use std::collections::BTreeMap;
use std::fmt;

use cfn::Template;
use contracts::Region;

use crate::environment::Environment;
use crate::stacks::{data, delivery, events, keys};

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
    let primary = environment.primary();
    let mut stacks = vec![keys::primary(environment)];
    stacks.extend(environment.secondaries().map(|region| keys::replica(environment, region)));
    stacks.extend(environment.regions().map(|region| delivery::stack(environment, region)));
    stacks.push(data::stack(environment, primary));
    // Lower waves first: a bad release meets the region that can be spared.
    let mut by_wave: Vec<_> = environment.region_settings().iter().collect();
    by_wave.sort_by_key(|settings| settings.wave);
    for settings in &by_wave {
        let mut stack = events::stack(environment, &settings.region);
        let earlier = by_wave.iter().filter(|other| other.wave < settings.wave);
        stack.depends_on.extend(earlier.map(|other| StackId { name: stack.id.name, region: other.region.clone() }));
        stacks.push(stack);
    }
    let mistakes = stacks.iter().flat_map(|stack| stack.mistakes.clone()).collect();
    System { stacks, mistakes }
}
