//! Kinds that aren't served, that are defined by the way, and objects that their kind doesn't fit.

use kubernetes::{Problem, SurveyError, Trouble, Verdict};
use serde_json::{Value, json};

use crate::support::{Bench, bundle, settings, verdict};

fn monitor() -> Value {
    json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
           "metadata": {"namespace": "web", "name": "shop"}, "spec": {"endpoints": [{"port": "http"}]}})
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "tills.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Till", "plural": "tills"},
                 "versions": [{"name": "v1", "served": true, "storage": true}]},
    })
}

fn problems(error: SurveyError) -> Vec<Problem> {
    match error {
        SurveyError::Problems(problems) => problems,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_kind_that_is_not_served_is_named_with_the_repair() {
    let bench = Bench::start().await;
    bench.double.without("monitoring.coreos.com");
    let old = json!({"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler",
                     "metadata": {"namespace": "web", "name": "shop"}});
    let problems = problems(bench.survey(&bundle(vec![settings("one", "blue"), monitor(), old])).await.unwrap_err());
    let texts: Vec<String> = problems.iter().map(|one| format!("{one}; {}", one.trouble.repair())).collect();
    assert_eq!(
        texts,
        [
            "ServiceMonitor web/shop: the cluster serves no `ServiceMonitor` of `monitoring.coreos.com/v1`; install the \
             Prometheus operator in the cluster, then apply again, or leave `ServiceMonitor` out",
            "HorizontalPodAutoscaler web/shop: the cluster serves no `HorizontalPodAutoscaler` of `autoscaling/v2beta2`; \
             write `HorizontalPodAutoscaler` in a version that the cluster serves: autoscaling/v2, autoscaling/v1",
        ],
        "all of them at once"
    );
    assert_eq!(bench.double.writes(), []);
}

#[tokio::test]
async fn a_definition_comes_first_and_is_waited_for() {
    let bench = Bench::start().await;
    let till = json!({"apiVersion": "example.com/v1", "kind": "Till", "metadata": {"namespace": "web", "name": "one"},
                      "spec": {"drawers": 2}});
    let tills = bundle(vec![till, definition()]);
    let survey = bench.survey(&tills).await.unwrap();
    assert!(survey.objects.iter().all(|object| object.verdict == Verdict::Created));
    let done = bench.apply(&tills).await;
    assert_eq!(done, ["created CustomResourceDefinition tills.example.com", "created Till web/one"]);
    assert!(bench.survey(&tills).await.unwrap().is_nothing());
    // With the definition its objects have gone, which is no failure.
    bench.double.remove("tills", "web", "one");
    bench.double.remove("customresourcedefinitions", "", "tills.example.com");
    bench.double.without("example.com");
    assert_eq!(bench.apply(&bundle(Vec::new())).await, Vec::<String>::new());
    assert_eq!(bench.inventory(), Vec::<String>::new());
}

#[tokio::test]
async fn a_namespace_that_comes_along_is_there_before_what_is_in_it() {
    let bench = Bench::start().await;
    bench.double.remove("namespaces", "", "web");
    let problems = problems(bench.survey(&bundle(vec![settings("one", "blue")])).await.unwrap_err());
    assert_eq!(problems[0].to_string(), "ConfigMap web/one: there is no namespace `web`");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}});
    let both = bundle(vec![settings("one", "blue"), namespace]);
    assert_eq!(verdict(&bench.survey(&both).await.unwrap(), "ConfigMap"), "created");
    assert_eq!(bench.apply(&both).await, ["created Namespace web", "created ConfigMap web/one"]);
    assert_eq!(bench.inventory(), ["/ConfigMap/web/one", "/Namespace//web"]);
    assert!(bench.survey(&both).await.unwrap().is_nothing());
}

#[tokio::test]
async fn what_the_cluster_refuses_is_told_with_the_field() {
    let bench = Bench::start().await;
    let mut fixed = settings("one", "blue");
    fixed["immutable"] = json!(true);
    bench.apply(&bundle(vec![fixed.clone()])).await;
    fixed["data"]["colour"] = json!("red");
    let mut misspelt = settings("two", "blue");
    misspelt["dta"] = json!({});
    let problems = problems(bench.survey(&bundle(vec![fixed, misspelt])).await.unwrap_err());
    assert_eq!(problems[0].to_string(), "ConfigMap web/one: `data`: Invalid value: field is immutable");
    assert_eq!(problems[0].trouble.repair(), "what can't be changed needs another name, or a deletion by hand first");
    assert!(problems[1].to_string().contains("unknown field \"dta\""), "{}", problems[1]);
    assert_eq!(problems[1].trouble.repair(), "correct the manifest");
}

#[tokio::test]
async fn a_namespace_where_there_is_none_is_a_mistake() {
    let bench = Bench::start().await;
    let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                          "metadata": {"namespace": "web", "name": "reader"}, "rules": []});
    let mut homeless = settings("one", "blue");
    homeless["metadata"].as_object_mut().unwrap().remove("namespace");
    let found = problems(bench.survey(&bundle(vec![role.clone(), homeless])).await.unwrap_err());
    assert_eq!(found[0].trouble, Trouble::Scope { is_namespaced: false });
    assert_eq!(found[1].trouble, Trouble::Scope { is_namespaced: true });
    role["metadata"].as_object_mut().unwrap().remove("namespace");
    assert_eq!(bench.apply(&bundle(vec![role])).await, ["created ClusterRole reader"]);
}
