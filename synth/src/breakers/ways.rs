//! The ways that have a breaker: from the router of each region to each of its peers.

use std::fmt;

use breaker::Route;
use contracts::Region;
use infra::environment::Environment;

use crate::error::Error;
use crate::reach;

/// The table of records, without system and environment.
pub(super) const BREAKERS: &str = "breakers";
/// The table of events that wait, without system and environment.
pub(super) const PARKING: &str = "parking";

/// A way from the router of one region to the bus of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) from: Region,
    pub(super) to: Region,
    /// The bus.
    pub(super) target: String,
}

impl Way {
    /// The route as the router names it.
    pub(super) fn route(&self) -> Route {
        Route { from: self.from.as_str().into(), to: self.to.as_str().into(), target: self.target.as_str().into() }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

/// The ways of the environment, or those of them from `region` or to `peer`.
pub(super) fn find(environment: &Environment, region: Option<&str>, peer: Option<&str>) -> Result<Vec<Way>, Error> {
    let known = |named: Option<&str>| named.map(|named| reach::region(environment, Some(named))).transpose();
    let (region, peer) = (known(region)?, known(peer)?);
    if let (Some(from), Some(to)) = (&region, &peer)
        && from == to
    {
        return Err(Error::usage(format!("`--region` and `--peer` are both {from}: no region sends to itself"))
            .hint("`--region` is where the router runs, `--peer` where it sends to"));
    }
    let target = reach::bus(environment)?;
    let mut ways = Vec::new();
    for from in environment.regions().filter(|from| region.as_ref().is_none_or(|region| region == *from)) {
        for to in environment.peers(from).filter(|to| peer.as_ref().is_none_or(|peer| peer == *to)) {
            ways.push(Way { from: from.clone(), to: to.clone(), target: target.clone() });
        }
    }
    Ok(ways)
}

/// The one way that is meant. Commands never reach more than one, so that none is forgotten in the end.
pub(super) fn one(environment: &Environment, region: Option<&str>, peer: Option<&str>) -> Result<Way, Error> {
    let mut ways = find(environment, region, peer)?;
    match (ways.pop(), ways.is_empty()) {
        (Some(way), true) => Ok(way),
        (last, _) => {
            let all: Vec<String> =
                ways.iter().chain(&last).map(|way| format!("`--region {} --peer {}`", way.from, way.to)).collect();
            Err(Error::usage("a command is for one breaker, and several fit")
                .hint(format!("name one: {}", all.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use infra::system::Subject;

    use super::*;
    use crate::error::Kind;
    use crate::redrive::tests::environment;

    fn check(region: Option<&str>, peer: Option<&str>, expected: &[&str]) {
        let ways = find(&environment(), region, peer).expect("ways");
        assert_eq!(ways.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{region:?} {peer:?}");
    }

    #[test]
    fn each_region_has_a_way_to_each_peer() {
        check(None, None, &["us-west-2 -> us-east-1", "us-east-1 -> us-west-2"]);
        check(Some("us-east-1"), None, &["us-east-1 -> us-west-2"]);
        check(None, Some("us-east-1"), &["us-west-2 -> us-east-1"]);
        check(Some("us-west-2"), Some("us-east-1"), &["us-west-2 -> us-east-1"]);
    }

    #[test]
    fn a_command_is_for_one_way() {
        let environment = environment();
        assert_eq!(one(&environment, Some("us-east-1"), None).expect("one").to_string(), "us-east-1 -> us-west-2");
        assert_eq!(one(&environment, None, Some("us-east-1")).expect("one").to_string(), "us-west-2 -> us-east-1");
        let error = one(&environment, None, None).expect_err("two");
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(
            error.hints(),
            ["name one: `--region us-west-2 --peer us-east-1`, `--region us-east-1 --peer us-west-2`"]
        );
    }

    #[test]
    fn no_region_sends_to_itself_or_to_a_foreign_one() {
        let environment = environment();
        let error = find(&environment, Some("us-west-2"), Some("us-west-2")).expect_err("the same");
        assert!(error.to_string().contains("no region sends to itself"), "{error}");
        let error = find(&environment, None, Some("eu-west-1")).expect_err("not of the environment");
        assert_eq!(error.hints(), ["there are: us-west-2, us-east-1"]);
    }

    /// The router is told these names by its stack.
    #[test]
    fn the_tables_are_those_of_the_stacks() {
        let environment = environment();
        let tables: Vec<String> = infra::system(&environment)
            .stacks
            .into_iter()
            .flat_map(|stack| stack.watches)
            .filter_map(|watch| match watch.subject {
                Subject::Table { table, .. } => Some(table),
                _ => None,
            })
            .collect();
        for name in [BREAKERS, PARKING] {
            let count = tables.iter().filter(|table| **table == environment.name(name)).count();
            assert_eq!(count, 2, "`{name}`: one a region of {tables:?}");
        }
    }
}
