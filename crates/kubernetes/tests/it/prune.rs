//! What was applied and isn't wanted any more.

use std::collections::BTreeSet;

use kubernetes::{Chosen, Fate, Kept};
use serde_json::json;

use crate::support::{Bench, bundle, chain, deployment, settings};

#[tokio::test]
async fn what_is_not_wanted_any_more_goes() {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![settings("one", "blue"), settings("two", "blue")])).await;
    let less = bundle(vec![settings("two", "blue")]);
    let survey = bench.survey(&less).await.unwrap();
    assert_eq!((survey.unwanted.len(), &survey.unwanted[0].fate), (1, &Fate::Pruned));
    assert!(!survey.is_nothing());
    assert_eq!(bench.apply(&less).await, ["pruned ConfigMap web/one"]);
    assert_eq!(bench.inventory(), ["/ConfigMap/web/two"]);
    assert_eq!(bench.double.object("configmaps", "web", "one"), None);
    // Nothing at all is wanted.
    assert_eq!(bench.apply(&bundle(Vec::new())).await, ["pruned ConfigMap web/two"]);
    assert_eq!(bench.inventory(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_ours_stays() {
    let bench = Bench::start().await;
    bench.double.put(settings("theirs", "blue"), "somebody");
    bench.apply(&bundle(vec![settings("given", "blue"), settings("left", "blue"), settings("gone", "blue")])).await;
    // Another bundle has it now.
    bench.double.edit("configmaps", "web", "given", "other", |object| {
        object["metadata"]["labels"]["example.com/bundle"] = json!("other");
    });
    // It was deleted and made anew, by somebody who copied the label.
    bench.double.remove("configmaps", "web", "left");
    let mut copy = settings("left", "green");
    copy["metadata"]["labels"] = json!({"example.com/bundle": "shop"});
    bench.double.put(copy, "somebody");
    bench.double.remove("configmaps", "web", "gone");

    let done = bench.apply(&bundle(Vec::new())).await;
    assert_eq!(done, ["left ConfigMap web/given", "left ConfigMap web/left"]);
    assert_eq!(
        bench.double.names(),
        [
            "configmaps web/given",
            "configmaps web/inventory",
            "configmaps web/left",
            "configmaps web/theirs",
            "namespaces /web"
        ]
    );
    assert_eq!(bench.inventory(), Vec::<String>::new());
}

#[tokio::test]
async fn settings_stay_while_a_rollback_would_read_them() {
    let bench = Bench::start().await;
    let with = |number: u32| {
        bundle(vec![
            deployment(&format!("shop:{number}"), &format!("s{number}")),
            settings(&format!("s{number}"), "blue"),
        ])
    };
    bench.apply(&with(1)).await;
    let done = bench.apply(&with(2)).await;
    assert_eq!(done[..2], ["created ConfigMap web/s2", "changed Deployment web/shop"]);
    assert_eq!(done[2], "kept ConfigMap web/s1", "the older set of pods names it");
    let survey = bench.survey(&with(2)).await.unwrap();
    let [one] = &survey.unwanted[..] else { panic!("{:?}", survey.unwanted) };
    let Fate::Kept(why @ Kept::NamedBy(_)) = &one.fate else { panic!("{:?}", one.fate) };
    assert!(
        why.to_string().starts_with("ReplicaSet web/shop-") && why.to_string().ends_with(" still names it"),
        "{why}"
    );
    assert!(survey.is_nothing());
    assert_eq!(bench.inventory().len(), 3);
    // One older version is kept for rollbacks, so the oldest settings go now.
    let done = bench.apply(&with(3)).await;
    assert_eq!(done[2..], ["pruned ConfigMap web/s1", "kept ConfigMap web/s2"]);
    assert_eq!(bench.double.object("configmaps", "web", "s1"), None);
}

#[tokio::test]
async fn a_namespace_and_a_definition_go_only_with_consent() {
    let mut bench = Bench::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extra"}});
    bench.apply(&bundle(vec![namespace.clone()])).await;
    let nothing = bundle(Vec::new());
    assert_eq!(bench.apply(&nothing).await, ["kept Namespace extra"]);
    assert_eq!(bench.inventory(), ["/Namespace//extra"], "it is remembered");
    bench.options.consents.prune = Chosen::These(BTreeSet::from(["/Namespace//extra".parse().unwrap()]));
    assert_eq!(bench.apply(&nothing).await, ["pruned Namespace extra"]);
    assert_eq!(bench.inventory(), Vec::<String>::new());
}

#[tokio::test]
async fn an_inventory_that_is_not_ours_is_not_touched() {
    let bench = Bench::start().await;
    bench.double.put(settings("inventory", "blue"), "somebody");
    let error = bench.survey(&bundle(vec![settings("one", "blue")])).await.unwrap_err();
    assert_eq!(chain(&error), "ConfigMap web/inventory isn't this bundle's inventory; it has another label or none");
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![settings("one", "blue")])).await;
    bench
        .double
        .edit("configmaps", "web", "inventory", "somebody", |object| object["data"]["objects"] = json!("what\n"));
    let error = bench.survey(&bundle(Vec::new())).await.unwrap_err();
    assert!(chain(&error).contains("can't be read: `what` is no object's path"), "{}", chain(&error));
}

#[tokio::test]
async fn two_at_once_do_not_write_over_each_other() {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![settings("one", "blue")])).await;
    let (mine, cluster) = (bundle(vec![settings("one", "blue"), settings("two", "blue")]), bench.cluster().await);
    let found = bench.survey(&mine).await.unwrap();
    // Another run has got in between.
    bench.apply(&bundle(vec![settings("one", "blue"), settings("three", "blue")])).await;
    let error = kubernetes::apply(&cluster, &mine, found, &bench.options, &()).await.unwrap_err();
    assert!(chain(&error).ends_with("somebody else applies the same objects"), "{}", chain(&error));
    assert_eq!(bench.double.object("configmaps", "web", "two"), None, "nothing that no inventory knows");
}
