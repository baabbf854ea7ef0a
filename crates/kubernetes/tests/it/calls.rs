//! What passes is tried again, what doesn't is told, and neither is taken for "nothing is there".

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use kubernetes::{CallClass, Clock, Cluster, Consents, Endpoint, Identity, IdentityError, SurveyError, Token, survey};
use kubernetes_double::{Answer, Fault};
use serde_json::json;

use crate::support::{Bench, bundle, chain, settings};

fn answer(code: u16, reason: &str, details: &serde_json::Value) -> Fault {
    Fault::Answer(Answer::failure(code, reason, "not now", details))
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for fault in [
        answer(503, "ServiceUnavailable", &json!({})),
        answer(429, "TooManyRequests", &json!({"retryAfterSeconds": 20})),
        answer(500, "InternalError", &json!({})),
        answer(504, "Timeout", &json!({})),
    ] {
        let bench = Bench::start().await;
        for call in 0..4 {
            bench.double.fault(call, fault.clone());
        }
        assert_eq!(
            bench.apply(&bundle(vec![settings("one", "blue")])).await,
            ["created ConfigMap web/one"],
            "{fault:?}"
        );
        let asked = matches!(&fault, Fault::Answer(answer) if answer.code == 429);
        assert_eq!(bench.clock.elapsed() >= Duration::from_secs(4 * 20), asked, "the cluster says how long to wait");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_told() {
    let bench = Bench::start().await;
    bench.double.die_at(0, answer(503, "ServiceUnavailable", &json!({})));
    let error = bench.survey(&bundle(vec![settings("one", "blue")])).await.unwrap_err();
    assert_eq!(chain(&error), "asking for the kinds of v1 is refused: the cluster is busy: not now (503)");
    assert_eq!(bench.double.calls().len(), 6);
}

#[tokio::test]
async fn nobody_there_is_not_nothing_there() {
    let bench = Bench::start().await;
    let cluster = bench.cluster().await;
    let url = bench.double.url().to_owned();
    drop(bench);
    let error = survey(&cluster, &bundle(vec![settings("one", "blue")]), &Consents::default()).await.unwrap_err();
    let text = chain(&error);
    assert!(text.starts_with("asking for the kinds of v1 got no answer: "), "{text} {url}");
    // A 404 of something in between is no word of the cluster's.
    let bench = Bench::start().await;
    let proxy =
        Answer { code: Answer::failure(404, "", "", &json!({})).code, body: json!("<html>no such page</html>") };
    bench.double.fault(1, Fault::Answer(proxy));
    let error = bench.survey(&bundle(vec![settings("one", "blue")])).await.unwrap_err();
    assert!(chain(&error).starts_with("reading ConfigMap web/one is refused: <html>"), "{}", chain(&error));
}

#[tokio::test]
async fn who_may_not_read_is_told_so() {
    let bench = Bench::start().await;
    bench.double.forbid("get", "configmaps");
    let error = bench.survey(&bundle(vec![settings("one", "blue")])).await.unwrap_err();
    let SurveyError::Problems(problems) = &error else { panic!("{error:?}") };
    assert!(problems[0].to_string().contains("is forbidden: User \"test\" cannot get resource"), "{}", problems[0]);
}

/// Counts the tokens that it makes.
struct Tokens(AtomicUsize);

impl Identity for Tokens {
    fn token(&self) -> BoxFuture<'_, Result<Token, IdentityError>> {
        Box::pin(async {
            let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Token { secret: format!("token-{number}"), lasts: Duration::from_secs(900) })
        })
    }
}

async fn with_tokens(bench: &Bench) -> (Cluster, Arc<Tokens>) {
    let tokens = Arc::new(Tokens(AtomicUsize::new(0)));
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let endpoint = Endpoint { url: bench.double.url().to_owned(), certificate_authority: None };
    let identity: Arc<dyn Identity> = tokens.clone();
    (Cluster::at(&endpoint, Some(identity), clock).await.expect("a good address"), tokens)
}

#[tokio::test]
async fn a_token_is_made_once_and_again_before_it_ends() {
    let bench = Bench::start().await;
    let (cluster, tokens) = with_tokens(&bench).await;
    let shop = bundle(vec![settings("one", "blue"), settings("two", "blue")]);
    bench.double.accept_only("token-1");
    survey(&cluster, &shop, &Consents::default()).await.unwrap();
    assert_eq!(tokens.0.load(Ordering::Relaxed), 1);
    bench.clock.sleep(Duration::from_secs(850)).await;
    bench.double.accept_only("token-2");
    survey(&cluster, &shop, &Consents::default()).await.unwrap();
    assert_eq!(tokens.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_is_made_anew_once() {
    let bench = Bench::start().await;
    let (cluster, tokens) = with_tokens(&bench).await;
    let shop = bundle(vec![settings("one", "blue")]);
    bench.double.accept_only("token-2");
    survey(&cluster, &shop, &Consents::default()).await.unwrap();
    assert_eq!(tokens.0.load(Ordering::Relaxed), 2);
    bench.double.accept_only("never");
    let error = survey(&cluster, &shop, &Consents::default()).await.unwrap_err();
    let SurveyError::Call(error) = &error else { panic!("{error:?}") };
    assert_eq!(error.class, CallClass::Unauthenticated);
    assert_eq!(error.to_string(), "reading ConfigMap web/one is refused: the cluster doesn't know who asks");
    assert_eq!(tokens.0.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_kubeconfig_leads_to_the_cluster_of_its_context() {
    let bench = Bench::start().await;
    let folder = std::env::temp_dir().join(format!("kubernetes-test-{}", std::process::id()));
    std::fs::write(&folder, bench.double.kubeconfig()).unwrap();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let cluster = Cluster::of_kubeconfig(Some(&folder), Some("double"), clock.clone()).await.unwrap();
    assert_eq!(cluster.address(), bench.double.url());
    survey(&cluster, &bundle(vec![settings("one", "blue")]), &Consents::default()).await.unwrap();
    let error = Cluster::of_kubeconfig(Some(&folder), Some("other"), clock).await.unwrap_err();
    assert!(chain(&error).starts_with("the kubeconfig can't be used: "), "{}", chain(&error));
    std::fs::remove_file(&folder).unwrap();
}
