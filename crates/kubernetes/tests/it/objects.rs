//! What is made, what is changed, and what is left alone.

use kubernetes::{Delivery, Seen, Verdict};
use serde_json::json;

use crate::support::{Bench, bundle, bundle_of, deployment, settings, verdict, wanted};

#[tokio::test]
async fn objects_are_made_in_order_and_then_left_alone() {
    let bench = Bench::start().await;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "web", "name": "shop"}});
    let shop = bundle(vec![deployment("shop:1", "one"), settings("one", "blue"), account]);
    assert_eq!(verdict(&bench.survey(&shop).await.unwrap(), "Deployment"), "created");
    assert!(bench.double.writes().is_empty(), "a survey changes nothing");

    let done = bench.apply(&shop).await;
    assert_eq!(done, ["created ServiceAccount web/shop", "created ConfigMap web/one", "created Deployment web/shop"]);
    let writes: Vec<String> =
        bench.double.writes().iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    let apps = "/apis/apps/v1/namespaces/web/deployments/shop";
    assert_eq!(
        writes,
        [
            "POST /api/v1/namespaces/web/configmaps",
            "PATCH /api/v1/namespaces/web/serviceaccounts/shop",
            "PATCH /api/v1/namespaces/web/configmaps/one",
            &format!("PATCH {apps}"),
        ],
        "the inventory first"
    );
    assert_eq!(bench.inventory(), ["/ConfigMap/web/one", "/ServiceAccount/web/shop", "apps/Deployment/web/shop"]);
    let live = bench.double.object("deployments", "web", "shop").unwrap();
    assert_eq!(live["metadata"]["labels"], json!({"example.com/bundle": "shop"}));
    assert_eq!(live["status"]["availableReplicas"], 2, "it was waited for");
    let told = bench.told.0.lock().unwrap().join("\n");
    assert!(told.contains("Deployment web/shop: 1 of 2 pods are new\n"), "{told}");
    assert!(told.ends_with("Deployment web/shop: ready"), "{told}");

    bench.double.forget_calls();
    assert_eq!(bench.apply(&shop).await, Vec::<String>::new());
    assert_eq!(bench.double.writes(), []);
    // Three objects, read and tried; two versions of kinds; the inventory.
    assert_eq!(bench.double.calls().len(), 2 * 3 + 2 + 1, "{:#?}", bench.double.calls());
    assert!(bench.survey(&shop).await.unwrap().is_nothing());
}

#[tokio::test]
async fn only_what_differs_is_written() {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![deployment("shop:1", "one"), settings("one", "blue")])).await;
    // What nobody here has said is nobody's business here.
    bench.double.scale("web", "shop", 2);
    bench.double.edit("deployments", "web", "shop", "somebody", |object| {
        object["metadata"]["annotations"]["note"] = json!("by hand");
        object["spec"]["template"]["spec"]["containers"][0]["terminationMessagePolicy"] =
            json!("FallbackToLogsOnError");
    });
    bench.double.forget_calls();
    let next = bundle(vec![deployment("shop:2", "one"), settings("one", "blue")]);
    let survey = bench.survey(&next).await.unwrap();
    let container = "spec.template.spec.containers[name=shop]";
    assert_eq!(verdict(&survey, "Deployment"), format!("changed {container}.image"));
    let Verdict::Changed { changes, .. } = &survey.objects[0].verdict else { panic!("changed") };
    assert_eq!(changes[0].before, Some(Seen::Value(json!("shop:1"))));
    assert_eq!(changes[0].after, Some(Seen::Value(json!("shop:2"))));
    assert_eq!(bench.apply(&next).await, ["changed Deployment web/shop"]);
    assert_eq!(bench.double.writes().len(), 1);
    let live = bench.double.object("deployments", "web", "shop").unwrap();
    assert_eq!(live["metadata"]["annotations"]["note"], "by hand");
}

#[tokio::test]
async fn what_is_not_said_any_more_goes_and_the_default_comes_back() {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![deployment("shop:1", "one")])).await;
    let mut less = deployment("shop:1", "one");
    less["spec"].as_object_mut().unwrap().remove("revisionHistoryLimit");
    less["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("ports");
    let less = bundle(vec![less]);
    let ports = "spec.template.spec.containers[name=shop].ports";
    let expected = format!("changed spec.revisionHistoryLimit {ports}");
    assert_eq!(verdict(&bench.survey(&less).await.unwrap(), "Deployment"), expected);
    bench.apply(&less).await;
    let live = bench.double.object("deployments", "web", "shop").unwrap();
    assert_eq!(live["spec"]["revisionHistoryLimit"], 10);
    assert!(live["spec"]["template"]["spec"]["containers"][0].get("ports").is_none());
    assert!(bench.survey(&less).await.unwrap().is_nothing());
}

#[tokio::test]
async fn what_others_made_alike_becomes_ours() {
    let bench = Bench::start().await;
    bench.double.put(settings("one", "blue"), "kubectl-create");
    let shop = bundle(vec![settings("one", "blue")]);
    let survey = bench.survey(&shop).await.unwrap();
    assert_eq!(verdict(&survey, "ConfigMap"), "changed metadata.labels");
    assert_eq!(bench.apply(&shop).await, ["changed ConfigMap web/one"]);
    assert!(bench.survey(&shop).await.unwrap().is_nothing());
}

/// The number of pods must survive, and the creation is the only time that it is said.
#[tokio::test]
async fn what_is_made_once_is_left_alone_and_is_in_nobodys_way() {
    let bench = Bench::start().await;
    let mut standby = deployment("shop:0", "one");
    standby["spec"]["replicas"] = json!(0);
    let mut once = wanted(standby);
    once.delivery = Delivery::MadeOnce;
    let made = bundle_of(vec![once]);
    let mut later = deployment("shop:1", "one");
    later["spec"].as_object_mut().unwrap().remove("replicas");
    let mut later = wanted(later);
    later.delivery = Delivery::AppliedOnceThere("make it with `first`".to_owned());
    let applied = bundle_of(vec![later]);

    let error = bench.survey(&applied).await.unwrap_err();
    assert!(error.to_string().contains("it isn't there yet, and must not be made by this application"), "{error}");

    assert_eq!(bench.apply(&made).await, ["created Deployment web/shop"]);
    assert_eq!(bench.inventory(), Vec::<String>::new(), "it is never pruned");
    assert_eq!(bench.apply(&made).await, Vec::<String>::new());
    // Its fields have the same manager, by another operation: those are no other's.
    assert_eq!(bench.apply(&applied).await, ["changed Deployment web/shop"]);
    let replicas = || bench.double.object("deployments", "web", "shop").unwrap()["spec"]["replicas"].clone();
    assert_eq!(replicas(), 0);
    bench.double.scale("web", "shop", 3);
    assert_eq!(bench.apply(&made).await, Vec::<String>::new());
    assert_eq!(bench.apply(&applied).await, Vec::<String>::new());
    assert_eq!(replicas(), 3, "a failover is not taken back");
}
