//! A cluster with time of its own, and the objects of a small shop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kubernetes::{
    ApplyError, Bundle, Clock, Cluster, Delivery, Done, Endpoint, Key, Object, Options, Place, Progress, Survey,
    SurveyError, Verdict, Wanted, apply, survey,
};
use kubernetes_double::Double;
use serde_json::{Value, json};

/// A clock that only pauses move.
#[derive(Debug, Default)]
pub(crate) struct Pauses(AtomicU64);

impl Clock for Pauses {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        self.0.fetch_add(u64::try_from(pause.as_millis()).expect("a short pause"), Ordering::Relaxed);
        Box::pin(tokio::task::yield_now())
    }
}

/// What was told while it happened.
#[derive(Debug, Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Progress for Told {
    fn phase(&self, key: &Key, text: &str) {
        self.0.lock().expect("no panic").push(format!("{key}: {text}"));
    }
}

pub(crate) struct Bench {
    pub(crate) double: Double,
    pub(crate) clock: Arc<Pauses>,
    pub(crate) told: Told,
    pub(crate) options: Options,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let double = Double::start().await;
        double.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}), "kubectl-create");
        Self { double, clock: Arc::default(), told: Told::default(), options: Options::default() }
    }

    /// Without what an earlier run has learnt of the cluster.
    pub(crate) async fn cluster(&self) -> Cluster {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let endpoint = Endpoint { url: self.double.url().to_owned(), certificate_authority: None };
        Cluster::at(&endpoint, None, clock).await.expect("a good address")
    }

    pub(crate) async fn survey(&self, bundle: &Bundle) -> Result<Survey, SurveyError> {
        survey(&self.cluster().await, bundle, &self.options.consents).await
    }

    pub(crate) async fn try_apply(&self, bundle: &Bundle) -> Result<Vec<String>, ApplyError> {
        let cluster = self.cluster().await;
        let found = survey(&cluster, bundle, &self.options.consents).await.expect("a survey");
        let done = apply(&cluster, bundle, found, &self.options, &self.told).await?;
        Ok(words(&done))
    }

    pub(crate) async fn apply(&self, bundle: &Bundle) -> Vec<String> {
        self.try_apply(bundle).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// The lines of the inventory.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let Some(found) = self.double.object("configmaps", "web", "inventory") else { return Vec::new() };
        found["data"]["objects"].as_str().expect("a list").lines().map(str::to_owned).collect()
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// What happened, without what was left alone.
pub(crate) fn words(done: &[(Key, Done)]) -> Vec<String> {
    let changed = done.iter().filter(|(_, done)| *done != Done::Unchanged);
    changed.map(|(key, done)| format!("{} {key}", done.word())).collect()
}

pub(crate) fn wanted(object: Value) -> Wanted {
    Wanted { object: Object::new(object).expect("a whole object"), delivery: Delivery::Applied }
}

pub(crate) fn bundle_of(wanted: Vec<Wanted>) -> Bundle {
    let inventory = Place { namespace: "web".to_owned(), name: "inventory".to_owned() };
    Bundle::new(wanted, "tool", ("example.com/bundle", "shop"), inventory).expect("a bundle")
}

pub(crate) fn bundle(objects: Vec<Value>) -> Bundle {
    bundle_of(objects.into_iter().map(wanted).collect())
}

pub(crate) fn settings(name: &str, colour: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "web", "name": name},
           "data": {"colour": colour}})
}

/// Two pods that read `settings`.
pub(crate) fn deployment(image: &str, settings: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "web", "name": "shop"},
        "spec": {
            "replicas": 2, "revisionHistoryLimit": 1, "progressDeadlineSeconds": 120,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{
                    "name": "shop", "image": image, "ports": [{"containerPort": 80}],
                    "envFrom": [{"configMapRef": {"name": settings}}],
                    "resources": {"requests": {"cpu": "1000m"}},
                }]},
            },
        },
    })
}

/// The verdict on an object, in words.
pub(crate) fn verdict(survey: &Survey, kind: &str) -> String {
    let found = survey.objects.iter().find(|object| object.key.kind == kind).expect("an object of the kind");
    match &found.verdict {
        Verdict::Created => "created".to_owned(),
        Verdict::Unchanged => "unchanged".to_owned(),
        Verdict::Changed { changes, .. } => {
            let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
            format!("changed {}", paths.join(" "))
        }
        Verdict::Conflicting(conflicts) => {
            let conflicts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
            format!("conflicting {}", conflicts.join("; "))
        }
    }
}
