//! Who may only read is told what reading shows.

use kubernetes::{Verdict, Way};
use serde_json::json;

use crate::support::{Bench, bundle, deployment, settings, verdict};

#[tokio::test]
async fn a_reader_sees_what_an_owner_sees() {
    let bench = Bench::start().await;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "web", "name": "shop"}});
    let mut shop = deployment("shop:1", "one");
    // The cluster writes amounts in its own way, which reading can't know.
    shop["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1");
    shop["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = json!("TCP");
    let same = bundle(vec![shop.clone(), settings("one", "blue"), account.clone()]);
    bench.apply(&same).await;
    for plural in ["configmaps", "deployments", "serviceaccounts"] {
        bench.double.forbid("patch", plural);
    }
    bench.double.forget_calls();
    let survey = bench.survey(&same).await.unwrap();
    assert!(survey.objects.iter().all(|object| object.verdict == Verdict::Unchanged && object.way == Way::Reading));
    shop["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop:2");
    shop["spec"].as_object_mut().unwrap().remove("revisionHistoryLimit");
    let mut next = settings("one", "red");
    next["data"].as_object_mut().unwrap().insert("size".to_owned(), json!("large"));
    let survey = bench.survey(&bundle(vec![shop, next, account, settings("two", "blue")])).await.unwrap();
    let container = "spec.template.spec.containers[name=shop]";
    assert_eq!(verdict(&survey, "Deployment"), format!("changed spec.revisionHistoryLimit {container}.image"));
    assert_eq!(verdict(&survey, "ConfigMap"), "changed data.colour data.size");
    assert_eq!(verdict(&survey, "ServiceAccount"), "unchanged");
    assert_eq!(survey.objects[3].verdict, Verdict::Created);
    assert_eq!(bench.double.writes(), []);
}
