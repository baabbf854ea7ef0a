//! `access`: who may do what in the account: GitHub's roles, CloudFormation's, and the boundary of all others.
//!
//! IAM is global, so there is one such stack, in the home region. It comes before all others, because they are made
//! with its roles and their roles carry its boundary; it goes last. It has no role of CloudFormation itself: an
//! administrator deploys it with his own rights. Its own roles carry no boundary, since they do what the boundary
//! forbids to everything that runs: they make roles and hand them on.
//!
//! `drift` beside it is made in the same way. It is a stack of its own because `access` has to fit into one call.

mod boundary;
mod drift;
mod execution;
mod github;
mod permissions;
mod rules;

use crate::constructs::Scope;
use crate::environment::Environment;
use crate::system::StackInstance;

pub(crate) use drift::stack as drift;
pub(crate) use execution::role_name as execution_role_name;
pub use permissions::{HandlerPermission, handler_permissions, read_permissions};

/// The stack's name.
pub(crate) const NAME: &str = "access";

/// The stacks that an administrator deploys with his own rights, without a role of CloudFormation.
pub(crate) const OF_ADMINISTRATORS: [&str; 2] = [NAME, drift::NAME];

/// The stack, made from all others.
pub(crate) fn stack(environment: &Environment, stacks: &[StackInstance]) -> StackInstance {
    let mut scope = Scope::new(environment, environment.primary(), NAME, "Roles of people, GitHub and CloudFormation");
    boundary::add(&mut scope, stacks);
    let regions = execution::Regions::add(&mut scope, stacks);
    execution::add_roles(&mut scope, stacks, &regions);
    github::add(&mut scope, &regions);
    scope.finish()
}
