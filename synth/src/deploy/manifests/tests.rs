//! This system's own manifests, against a stand-in for each region's cluster.

mod follow;
mod pins;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use kubernetes::{Clock, Way};
use kubernetes_double::{Double, Rollout};
use serde_json::json;

use infra::kubernetes::{AUTHORITY_OUTPUT, CLUSTER_STACK, ENDPOINT_OUTPUT, NAME_OUTPUT};

use super::follow::applied;
use super::look::{Found, look};
use super::*;
use crate::deploy::inputs::Outputs;
use crate::error::Kind;
use crate::ui::{Format, Ui};

pub(super) const WEST: &str = "us-west-2";
pub(super) const EAST: &str = "us-east-1";

/// A clock that only pauses move.
#[derive(Debug, Default)]
pub(super) struct Pauses(AtomicU64);

impl Clock for Pauses {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        self.0.fetch_add(u64::try_from(pause.as_millis()).unwrap(), Ordering::Relaxed);
        Box::pin(tokio::task::yield_now())
    }
}

pub(super) fn digest(digit: &str) -> ImageDigest {
    format!("sha256:{}", digit.repeat(64)).parse().unwrap()
}

/// `staging` with a cluster in each of its two regions.
pub(super) struct Bench {
    pub(super) environment: Environment,
    pub(super) clusters: BTreeMap<&'static str, Double>,
    pub(super) options: Options,
}

impl Bench {
    pub(super) async fn start() -> Self {
        let text = include_str!("../../../../environments/staging.toml");
        let environment = Environment::parse("staging.toml", text).unwrap();
        let clusters = BTreeMap::from([(WEST, Double::start().await), (EAST, Double::start().await)]);
        let options = Options { image: Some(digest("a")), ..Options::default() };
        Self { environment, clusters, options }
    }

    /// Both regions as they are after the first deployment.
    pub(super) async fn deployed() -> Self {
        let mut bench = Self::start().await;
        for region in [WEST, EAST] {
            bench.apply(region, Folder::Bootstrap).await.unwrap();
            bench.apply(region, Folder::Consumer).await.unwrap();
        }
        bench.options.image = None;
        bench.forget_calls();
        bench
    }

    pub(super) fn reach(&self) -> Reach {
        Reach::for_tests(Arc::new(Pauses::default()))
    }

    /// What the stacks `cluster` say.
    pub(super) fn outputs(&self) -> Outputs {
        let outputs = |(region, double): (&&str, &Double)| {
            let pairs = [(NAME_OUTPUT, "tandem-staging"), (ENDPOINT_OUTPUT, double.url()), (AUTHORITY_OUTPUT, "")];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (StackKey::new(CLUSTER_STACK, *region), BTreeMap::from(pairs))
        };
        self.clusters.iter().map(outputs).collect()
    }

    pub(super) fn region(&self, name: &str) -> &Region {
        self.environment.regions().find(|region| region.as_str() == name).unwrap()
    }

    pub(super) async fn look(&self, region: &str, folder: Folder) -> Look {
        let (reach, outputs) = (self.reach(), self.outputs());
        look(&reach, &self.environment, self.region(region), folder, &self.options, &outputs).await.unwrap()
    }

    pub(super) async fn looks(&self) -> Vec<Look> {
        vec![self.look(EAST, Folder::Consumer).await, self.look(WEST, Folder::Consumer).await]
    }

    pub(super) async fn apply(&self, region: &str, folder: Folder) -> Result<RegionResult, Error> {
        let (ui, _) = Ui::buffered(Format::Human);
        applied(&ui, self.look(region, folder).await, &self.options).await
    }

    pub(super) fn forget_calls(&self) {
        self.clusters.values().for_each(Double::forget_calls);
    }

    pub(super) fn writes(&self) -> usize {
        self.clusters.values().map(|double| double.writes().len()).sum()
    }

    pub(super) fn deployment(&self, region: &str) -> serde_json::Value {
        self.clusters[region].object("deployments", "tandem", "consumer").unwrap()
    }
}

fn words(result: &RegionResult) -> Vec<String> {
    result.objects.iter().map(|object| format!("{} {}", object.result, object.object)).collect()
}

#[tokio::test]
async fn all_manifests_are_made_and_then_left_alone() {
    let bench = Bench::start().await;
    for region in [WEST, EAST] {
        for folder in Folder::ALL {
            let made = bench.apply(region, folder).await.unwrap();
            let expected = if (region, folder) == (EAST, Folder::Consumer) { 1 } else { 0 };
            // The deployment of the region that stands by was there, without pods.
            let others = made.objects.iter().filter(|object| object.result != "created");
            assert_eq!(others.count(), expected, "{region} {folder:?}: {:?}", words(&made));
            assert!(made.changed());
        }
    }
    bench.forget_calls();
    let mut calls = 0;
    for region in [WEST, EAST] {
        for folder in Folder::ALL {
            let same = bench.apply(region, folder).await.unwrap();
            assert!(!same.changed(), "{region} {folder:?}: {:?}", words(&same));
            calls += same.objects.len();
        }
    }
    assert_eq!(bench.writes(), 0);
    assert!(calls >= 30, "{calls} objects");
    assert_eq!(bench.deployment(WEST)["spec"]["replicas"], 1, "at home the autoscaler decides later");
    assert_eq!(bench.deployment(EAST)["spec"]["replicas"], 0, "two regions must not consume");
    let image = |region: &str| {
        bench.deployment(region)["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    for region in [WEST, EAST] {
        let expected = format!("000000000000.dkr.ecr.{region}.amazonaws.com/tandem-staging/consumer@{}", digest("a"));
        assert_eq!(image(region), expected);
    }
}

#[tokio::test]
async fn who_may_only_read_sees_no_difference_either() {
    let bench = Bench::deployed().await;
    for double in bench.clusters.values() {
        for plural in [
            "configmaps",
            "deployments",
            "horizontalpodautoscalers",
            "limitranges",
            "namespaces",
            "networkpolicies",
            "poddisruptionbudgets",
            "podmonitors",
            "resourcequotas",
            "rolebindings",
            "roles",
            "secretproviderclasses",
            "serviceaccounts",
        ] {
            double.forbid("patch", plural);
        }
    }
    for region in [WEST, EAST] {
        for folder in Folder::ALL {
            let look = bench.look(region, folder).await;
            let Found::Asked(asked) = &look.found else { panic!("{region} {folder:?}") };
            let (read, all) =
                (asked.survey.objects.iter().filter(|one| one.way == Way::Reading), asked.survey.objects.len());
            assert!(read.count() + 1 >= all, "all but what is made once");
            assert!(look.is_nothing(), "{:?}", stack_diffs(&[look]));
        }
    }
    let [note] = &notes(&[bench.look(WEST, Folder::Consumer).await])[..] else { panic!("one note") };
    assert!(note.starts_with("manifests@us-west-2 is compared by reading alone"), "{note}");
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn the_image_that_runs_stays_unless_another_is_named() {
    let mut bench = Bench::deployed().await;
    assert!(bench.look(WEST, Folder::Consumer).await.is_nothing(), "without a name it stays");
    bench.options.image = Some(digest("b"));
    let changed = bench.apply(WEST, Folder::Consumer).await.unwrap();
    assert!(words(&changed).contains(&"changed Deployment tandem/consumer".to_owned()));
    assert!(bench.deployment(WEST)["spec"]["template"].to_string().contains(digest("b").as_str()));

    let mut bench = Bench::start().await;
    bench.apply(WEST, Folder::Bootstrap).await.unwrap();
    bench.options.image = None;
    bench.forget_calls();
    let error = bench.apply(WEST, Folder::Consumer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(error.to_string(), "nothing says which image the consumer of us-west-2 gets");
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn a_region_that_stands_by_is_not_begun_by_a_deployment() {
    let bench = Bench::start().await;
    let double = &bench.clusters[EAST];
    double.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tandem"}}), "somebody");
    let error = bench.apply(EAST, Folder::Consumer).await.unwrap_err();
    assert!(error.render().contains("Deployment tandem/consumer: it isn't there yet"), "{}", error.render());
    let repair = "synth kubernetes apply --env staging --region us-east-1 --folder bootstrap";
    assert!(error.hints()[0].contains(repair), "{:?}", error.hints());
    assert_eq!(bench.writes(), 0);
    bench.apply(EAST, Folder::Bootstrap).await.unwrap();
    bench.apply(EAST, Folder::Consumer).await.unwrap();
    // A failover sets the pods; neither folder takes that back.
    double.scale("tandem", "consumer", 3);
    for folder in Folder::ALL {
        bench.apply(EAST, folder).await.unwrap();
    }
    assert_eq!(bench.deployment(EAST)["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_rollout_that_fails_is_explained() {
    let mut bench = Bench::deployed().await;
    bench.options.image = Some(digest("b"));
    let status = json!({"phase": "Pending", "containerStatuses": [
        {"name": "consumer", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    ]});
    bench.clusters[WEST].rollout("consumer", Rollout::Stuck { status, events: Vec::new(), is_given_up: true });
    let error = bench.apply(WEST, Folder::Consumer).await.unwrap_err();
    let text = error.render();
    assert!(text.starts_with("remote error: what was applied in us-west-2 doesn't work\n"), "{text}");
    assert!(text.contains("container consumer waits: ImagePullBackOff\n"), "{text}");
    assert!(text.contains("Deployment tandem/consumer was changed\n"), "{text}");
    assert!(text.contains("hint: the node can't get the image"), "{text}");
}

#[tokio::test]
async fn differences_are_shown_among_those_of_stacks() {
    let mut bench = Bench::deployed().await;
    let shown = |looks: &[Look]| diff::Diff { stacks: stack_diffs(looks) };
    assert!(shown(&bench.looks().await).is_empty());
    bench.options.image = Some(digest("b"));
    for double in bench.clusters.values() {
        double.edit("networkpolicies", "tandem", "consumer", "tandem-synth", |_| {});
        double.edit("configmaps", "tandem", "synth-consumer", "tandem-synth", |_| {});
    }
    let diff = shown(&bench.looks().await);
    let text = diff::render::human(&diff).to_string();
    assert!(text.contains("manifests (both regions)"), "{text}");
    assert!(text.contains("~ `Deployment tandem/consumer` (`apps/Deployment`) modified [live]"), "{text}");
    let image = "`spec.template.spec.containers[name=consumer].image`: `\"000000000000.dkr.ecr.<region>.amazonaws.com";
    assert!(text.contains(image), "{text}");
    assert_eq!(diff.summary().gravest(), Some(diff::ChangeClass::Changes));

    // What somebody else has changed is a refused transition, and one who can reach more is broader access.
    bench.clusters[WEST].edit("networkpolicies", "tandem", "consumer", "kubectl-edit", |object| {
        object["spec"]["egress"] = json!([{}]);
    });
    let looks = bench.looks().await;
    let diff = shown(&looks);
    let text = diff::render::human(&diff).to_string();
    assert!(text.contains("refused `fields-of-others`: `NetworkPolicy tandem/consumer` would be refused"), "{text}");
    assert!(text.contains("`spec.egress` is owned by `kubectl-edit`"), "{text}");
    assert_eq!(diff.summary().gravest(), Some(diff::ChangeClass::Broadened));
    let error = bench.apply(WEST, Folder::Consumer).await.unwrap_err();
    assert!(error.hints()[0].contains("--take-over NetworkPolicy/consumer"), "{:?}", error.hints());
    bench.options.take_over = vec!["NetworkPolicy/consumer".to_owned()];
    bench.apply(WEST, Folder::Consumer).await.unwrap();
    bench.options.take_over = Vec::new();
    assert!(bench.look(WEST, Folder::Consumer).await.is_nothing());
}

#[tokio::test]
async fn a_cluster_that_can_not_be_asked_is_a_note_and_no_change() {
    let mut bench = Bench::deployed().await;
    bench.clusters.remove(EAST);
    let looks = bench.looks().await;
    assert!(diff::Diff { stacks: stack_diffs(&looks) }.is_empty());
    let [note] = &notes(&looks)[..] else { panic!("one note") };
    let expected = "manifests@us-east-1 is not compared, and a plan pins nothing in the cluster: there is no cluster in \
                    us-east-1 yet";
    assert_eq!(note, expected);

    let gone = Double::start().await;
    let url = gone.url().to_owned();
    drop(gone);
    let mut outputs = bench.outputs();
    outputs.get_mut(&StackKey::new(CLUSTER_STACK, WEST)).unwrap().insert(ENDPOINT_OUTPUT.to_owned(), url);
    let (region, reach) = (bench.region(WEST), bench.reach());
    let look = look(&reach, &bench.environment, region, Folder::Consumer, &bench.options, &outputs).await.unwrap();
    let Found::Unasked(error) = &look.found else { panic!("nobody is there") };
    assert!(error.to_string().contains("the cluster of us-west-2 can't be asked"), "{error}");
    assert!(error.hints()[0].contains("only from its VPC"), "{:?}", error.hints());
    // An older stack doesn't say who vouches for its cluster.
    outputs.get_mut(&StackKey::new(CLUSTER_STACK, WEST)).unwrap().remove(AUTHORITY_OUTPUT);
    let error = reach.cluster(WEST, &outputs).await.unwrap_err();
    assert!(error.to_string().contains("doesn't say who vouches for it yet"), "{error}");
}

#[test]
fn what_is_agreed_to_is_read() {
    let text = include_str!("../../../../environments/staging.toml");
    let environment = Environment::parse("staging.toml", text).unwrap();
    let bundle = bundle::bundle(&environment, environment.primary(), Folder::Consumer, None).unwrap();
    let options = |take_over: &[&str], prune: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Options { take_over: own(take_over), prune: own(prune), ..Options::default() }.consents(&bundle)
    };
    assert_eq!(options(&["all"], &[]).unwrap().take_over, Chosen::All);
    let chosen = options(&["Deployment/consumer", "Role/elsewhere"], &["Namespace/old"]).unwrap();
    let path = "apps/Deployment/tandem/consumer".parse().unwrap();
    assert_eq!(chosen.take_over, Chosen::These(BTreeSet::from([path])));
    assert_eq!(chosen.prune, Chosen::These(BTreeSet::from(["/Namespace//old".parse().unwrap()])));
    let error = options(&["consumer"], &[]).unwrap_err();
    assert!(error.hints()[0].contains("Deployment/consumer"), "{:?}", error.hints());
    assert!(options(&[], &["ConfigMap/x"]).unwrap_err().to_string().contains("needs no consent"));
}
