//! What went wrong in a cluster, as the tool's error: everything at once, each with the way out.

use kubernetes::{
    ApplyError, CallClass, CallError, Conflict, ConnectError, Failure, InventoryError, Key, SurveyError, Unready,
};

use crate::error::Error;

/// A call that failed, with what to do about it.
pub(crate) fn call_error(region: &str, error: CallError) -> Error {
    let hint = hint(&error.class);
    let error = Error::remote(format!("the cluster of {region} can't be asked")).caused_by(error);
    hint.into_iter().fold(error, Error::hint)
}

fn hint(class: &CallClass) -> Option<&'static str> {
    match class {
        CallClass::Unreachable => Some(
            "a private cluster is reached only from its VPC: run the command there, or let your network in with `[cluster] \
             api_access`; leave the cluster alone with `--skip-manifests`",
        ),
        CallClass::Unauthenticated => Some(
            "the cluster knows the deploy role, the reader role and `[cluster] administrators`; sign in as one of them",
        ),
        CallClass::Forbidden => Some(
            "an administrator applies the folder `bootstrap` first, which gives deployments their rights: `synth kubernetes \
             apply --folder bootstrap`",
        ),
        CallClass::Busy { .. } => Some("the cluster can't answer at this moment; try again in a minute"),
        CallClass::Outdated => Some("somebody else changes the same objects; look who, then try again"),
        _ => None,
    }
}

/// No way to a cluster.
pub(crate) fn connect_error(region: &str, error: ConnectError) -> Error {
    Error::configuration(format!("there is no way to the cluster of {region}")).caused_by(error)
}

/// A comparison that there isn't.
pub(crate) fn survey_error(region: &str, error: SurveyError) -> Error {
    match error {
        SurveyError::Call(error) => call_error(region, error),
        SurveyError::Inventory(error) => inventory_error(region, error),
        SurveyError::Problems(problems) => {
            let error = Error::refused(format!("the manifests of {region} can't be applied as they are"));
            let mut repairs: Vec<String> = problems.iter().map(|problem| problem.trouble.repair()).collect();
            repairs.sort();
            repairs.dedup();
            let error = problems.iter().fold(error, |error, problem| error.detail(problem.to_string()));
            repairs.into_iter().fold(error, Error::hint)
        }
    }
}

fn inventory_error(region: &str, error: InventoryError) -> Error {
    match error {
        InventoryError::Call(error) => call_error(region, error),
        InventoryError::Concurrent(_) => Error::refused(format!("somebody else applies the manifests of {region}"))
            .caused_by(error)
            .hint("wait until they are done, then run the command again"),
        InventoryError::NotOurs(_) | InventoryError::Form(..) => {
            Error::refused(format!("what was applied in {region} can't be told"))
                .caused_by(error)
                .hint("look at that object, and delete it if nobody needs it: then nothing is pruned the next time")
        }
    }
}

/// An application that ended early, with what had been done.
pub(crate) fn apply_error(region: &str, error: ApplyError) -> Error {
    let ApplyError { done, failure } = error;
    let shown = match failure {
        Failure::Conflicts(conflicts) => conflict_error(region, &conflicts),
        Failure::Unready(unready) => unready_error(region, &unready),
        Failure::Inventory(error) => inventory_error(region, error),
        Failure::Call(error) => call_error(region, error),
        other => Error::remote(format!("the manifests of {region} couldn't be applied")).caused_by(other),
    };
    let changed: Vec<String> = super::report::changes(&done).map(|(key, word)| format!("{key} was {word}")).collect();
    changed.into_iter().fold(shown, Error::detail)
}

/// Each field and its owner, and how to agree.
pub(crate) fn conflict_error(region: &str, conflicts: &[(Key, Vec<Conflict>)]) -> Error {
    let mut error = Error::refused(format!("others own fields that the manifests of {region} would change"));
    for (key, conflicts) in conflicts {
        for conflict in conflicts {
            error = error.detail(format!("{key}: {conflict}"));
        }
    }
    for (key, _) in conflicts {
        error = error.hint(format!("take these fields over with `--take-over {}/{}`", key.kind, key.name));
    }
    error.hint("or take what they say into the manifests, so that both say the same")
}

fn unready_error(region: &str, unready: &[Unready]) -> Error {
    let mut error = Error::remote(format!("what was applied in {region} doesn't work"));
    let mut hints = Vec::new();
    for one in unready {
        let still = one.stood_still.map(|still| format!(", {} s without progress", still.as_secs()));
        error = error.detail(format!("{} didn't get ready{}: {}", one.key, still.unwrap_or_default(), one.why));
        for pod in &one.diagnosis.pods {
            error = error.detail(format!("pod {}: {}", pod.pod, pod.reasons.join("; ")));
            for event in &pod.events {
                error = error.detail(format!("pod {}: event {event}", pod.pod));
            }
        }
        let more = one.diagnosis.failing.saturating_sub(one.diagnosis.pods.len());
        if more > 0 {
            error = error.detail(format!("{more} more pods don't work"));
        }
        for event in &one.diagnosis.events {
            error = error.detail(format!("{}: event {event}", one.key));
        }
        if let Some(unknown) = &one.diagnosis.unknown {
            error = error.detail(format!("why isn't known: {unknown}"));
        }
        hints.extend(one.diagnosis.hint);
    }
    hints.dedup();
    let error = hints.into_iter().fold(error, Error::hint);
    error.hint("old pods go on as long as new ones aren't ready; run the command again when it is repaired")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kubernetes::{Diagnosis, PodReport};

    use super::*;

    fn key() -> Key {
        "apps/Deployment/tandem/consumer".parse().unwrap()
    }

    #[test]
    fn a_rollout_that_fails_names_the_pod_and_the_repair() {
        let unready = Unready {
            key: key(),
            why: "1 of 3 pods are new".to_owned(),
            stood_still: Some(Duration::from_secs(660)),
            diagnosis: Diagnosis {
                pods: vec![PodReport {
                    pod: "consumer-1-x".to_owned(),
                    reasons: vec!["container consumer waits: ImagePullBackOff".to_owned()],
                    events: vec!["Failed: not found".to_owned()],
                }],
                failing: 2,
                hint: Some("look into the registry"),
                ..Diagnosis::default()
            },
        };
        assert_eq!(
            unready_error("us-west-2", &[unready]).render(),
            "remote error: what was applied in us-west-2 doesn't work\n  Deployment tandem/consumer didn't get ready, 660 s \
             without progress: 1 of 3 pods are new\n  pod consumer-1-x: container consumer waits: ImagePullBackOff\n  pod \
             consumer-1-x: event Failed: not found\n  1 more pods don't work\n  hint: look into the registry\n  hint: old \
             pods go on as long as new ones aren't ready; run the command again when it is repaired"
        );
    }

    #[test]
    fn a_conflict_names_the_way_out() {
        let conflict = Conflict {
            field: "spec.replicas".to_owned(),
            manager: "kubectl-edit".to_owned(),
            through: "using apps/v1".to_owned(),
        };
        let error = conflict_error("us-west-2", &[(key(), vec![conflict])]);
        assert_eq!(
            error.details(),
            ["Deployment tandem/consumer: `spec.replicas` is owned by `kubectl-edit` (using apps/v1)"]
        );
        assert_eq!(error.hints()[0], "take these fields over with `--take-over Deployment/consumer`");
    }
}
