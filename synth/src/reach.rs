//! How the commands for whoever runs the system find what is deployed: the account, the region that is meant, the names.

use std::path::Path;

use contracts::Region;
use infra::environment::{Environment, Target};
use infra::system::Subject;

use crate::deploy::{Clouds, Endpoint, connect, endpoint_of};
use crate::error::Error;
use crate::local::Platform;

/// Clients for what is deployed: on AWS after a look at whose credentials they are, or on the platform that runs.
///
/// # Errors
/// The local platform doesn't run, or the credentials are none or of another account.
pub(crate) async fn clouds(environment: &Environment, checkout: &Path) -> Result<Clouds, Error> {
    let name = environment.environment_name();
    match environment.target() {
        Target::Local => {
            let platform = Platform::find(checkout, name)?.ok_or_else(|| {
                Error::remote(format!("the local platform of `{name}` does not run"))
                    .hint(format!("deploy first: `synth deploy --env {name}`"))
            })?;
            Ok(connect(environment, endpoint_of(&platform)).await)
        }
        Target::Aws => {
            let clouds = connect(environment, Endpoint::Aws).await;
            clouds.check_account(environment.account().as_str()).await?;
            Ok(clouds)
        }
    }
}

/// The bus of a region, by its full name; it is the same in each.
///
/// # Errors
/// No stack declares one: a mistake of the tool.
pub(crate) fn bus(environment: &Environment) -> Result<String, Error> {
    let watches = infra::system(environment).stacks.into_iter().flat_map(|stack| stack.watches);
    let mut buses = watches.filter_map(|watch| match watch.subject {
        Subject::Rule { bus, .. } => Some(bus),
        _ => None,
    });
    buses.next().ok_or_else(|| Error::internal("no stack declares a rule, so the bus has no name"))
}

/// The region that is meant: the one that was named, or else the home region.
///
/// # Errors
/// The environment has no such region.
pub(crate) fn region(environment: &Environment, named: Option<&str>) -> Result<Region, Error> {
    let Some(named) = named else { return Ok(environment.primary().clone()) };
    environment.regions().find(|region| region.as_str() == named).cloned().ok_or_else(|| {
        let known: Vec<&str> = environment.regions().map(Region::as_str).collect();
        Error::usage(format!("environment `{}` has no region `{named}`", environment.environment_name()))
            .hint(format!("there are: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redrive::tests::environment;

    #[test]
    fn an_unknown_region_names_the_known_ones() {
        let environment = environment();
        assert_eq!(region(&environment, None).expect("the home region"), *environment.primary());
        let error = region(&environment, Some("eu-west-1")).expect_err("not of the environment");
        assert_eq!(error.hints(), ["there are: us-west-2, us-east-1"]);
    }

    #[test]
    fn the_bus_is_that_of_the_stacks() {
        let environment = environment();
        assert_eq!(bus(&environment).expect("a bus"), environment.name("events"));
    }
}
