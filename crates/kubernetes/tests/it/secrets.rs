//! Values of secrets are in no text that anybody gets to see.

use kubernetes::{Seen, SurveyError, Verdict};
use serde_json::json;

use crate::support::{Bench, bundle, verdict};

fn secret(password: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "web", "name": "keys"},
           "stringData": {"password": password}})
}

#[tokio::test]
async fn a_change_is_told_and_what_it_is_is_not() {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![secret("hunter2")])).await;
    let next = bundle(vec![secret("hunter3")]);
    let survey = bench.survey(&next).await.unwrap();
    assert_eq!(verdict(&survey, "Secret"), "changed data.password");
    let Verdict::Changed { changes, .. } = &survey.objects[0].verdict else { panic!("changed") };
    assert_eq!((&changes[0].before, &changes[0].after), (&Some(Seen::Hidden), &Some(Seen::Hidden)));
    assert_eq!(survey.objects[0].live.as_ref().unwrap().ours, None);
    bench.apply(&next).await;
    assert_eq!(bench.double.object("secrets", "web", "keys").unwrap()["data"]["password"], "aHVudGVyMw==");
    assert!(bench.survey(&next).await.unwrap().is_nothing(), "a value in plain text is compared all the same");
}

#[tokio::test]
async fn a_refusal_quotes_no_value() {
    let bench = Bench::start().await;
    let mut fixed = secret("hunter2");
    fixed["immutable"] = json!(true);
    bench.apply(&bundle(vec![fixed])).await;
    let mut changed = secret("hunter3");
    changed["immutable"] = json!(true);
    let error = bench.survey(&bundle(vec![changed])).await.unwrap_err();
    let SurveyError::Problems(problems) = &error else { panic!("{error:?}") };
    assert_eq!(problems[0].to_string(), "Secret web/keys: `data`: it is wrong");
}
