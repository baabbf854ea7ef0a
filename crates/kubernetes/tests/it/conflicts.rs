//! What others own is not taken, unless somebody agrees to it.

use std::collections::BTreeSet;

use kubernetes::{Chosen, Failure};
use serde_json::json;

use crate::support::{Bench, bundle, chain, deployment, settings, verdict};

async fn contested() -> Bench {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![settings("one", "blue"), deployment("shop:1", "one")])).await;
    bench.double.edit("deployments", "web", "shop", "kubectl-edit", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop:hot");
        object["spec"]["replicas"] = json!(5);
    });
    bench.double.forget_calls();
    bench
}

#[tokio::test]
async fn a_conflict_names_field_and_owner_and_nothing_is_written() {
    let bench = contested().await;
    let next = bundle(vec![settings("one", "red"), deployment("shop:2", "one")]);
    let survey = bench.survey(&next).await.unwrap();
    assert_eq!(
        verdict(&survey, "Deployment"),
        "conflicting `spec.replicas` is owned by `kubectl-edit` (using apps/v1); \
         `spec.template.spec.containers[name=\"shop\"].image` is owned by `kubectl-edit` (using apps/v1)"
    );
    let error = bench.try_apply(&next).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "not everything could be applied: others own 2 fields of Deployment web/shop, and nobody has agreed to take them"
    );
    assert_eq!(bench.double.writes(), [], "not even what has no conflict");
}

#[tokio::test]
async fn with_consent_fields_are_taken_over_for_good() {
    for everything in [false, true] {
        let mut bench = contested().await;
        let next = bundle(vec![settings("one", "blue"), deployment("shop:2", "one")]);
        bench.options.consents.take_over = match everything {
            true => Chosen::All,
            false => Chosen::These(BTreeSet::from(["apps/Deployment/web/shop".parse().unwrap()])),
        };
        let survey = bench.survey(&next).await.unwrap();
        let container = "spec.template.spec.containers[name=shop]";
        assert_eq!(verdict(&survey, "Deployment"), format!("changed spec.replicas {container}.image"));
        assert_eq!(bench.apply(&next).await, ["changed Deployment web/shop"]);
        bench.options.consents.take_over = Chosen::None;
        assert!(bench.survey(&next).await.unwrap().is_nothing());
        let live = bench.double.object("deployments", "web", "shop").unwrap();
        assert_eq!(live["spec"]["replicas"], 2);
        let owners = live["metadata"]["managedFields"].to_string();
        assert!(!owners.contains("kubectl-edit"), "{owners}");
    }
}

#[tokio::test]
async fn consent_for_another_object_is_none() {
    let mut bench = contested().await;
    bench.options.consents.take_over = Chosen::These(BTreeSet::from(["/ConfigMap/web/one".parse().unwrap()]));
    let error = bench.try_apply(&bundle(vec![deployment("shop:2", "one")])).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Conflicts(_)));
}

#[tokio::test]
async fn a_conflict_that_comes_after_the_survey_is_one_too() {
    let bench = Bench::start().await;
    let next = bundle(vec![settings("one", "red")]);
    bench.apply(&bundle(vec![settings("one", "blue")])).await;
    let cluster = bench.cluster().await;
    let found = bench.survey(&next).await.unwrap();
    bench.double.edit("configmaps", "web", "one", "late", |object| object["data"]["colour"] = json!("green"));
    let error = kubernetes::apply(&cluster, &next, found, &bench.options, &()).await.unwrap_err();
    let Failure::Conflicts(conflicts) = &error.failure else { panic!("{error:?}") };
    assert_eq!(conflicts[0].1[0].to_string(), "`data.colour` is owned by `late` (using v1)");
    assert_eq!(bench.double.object("configmaps", "web", "one").unwrap()["data"]["colour"], "green");
}
