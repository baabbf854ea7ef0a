//! `synth kubernetes` against a stand-in for a cluster, reached by a kubeconfig.

use std::fs;

use kubernetes_double::Double;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::run::{Ended, checkout, synth_in};

/// A checkout, and the cluster of staging's home region.
struct Bench {
    checkout: TempDir,
    double: Double,
    _runtime: Runtime,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let double = runtime.block_on(Double::start());
        let checkout = checkout();
        fs::write(checkout.path().join("kubeconfig"), double.kubeconfig()).expect("a file");
        Self { checkout, double, _runtime: runtime }
    }

    fn run(&self, line: &str) -> Ended {
        let place = "--env staging --region us-west-2 --kubeconfig kubeconfig";
        synth_in(self.checkout.path(), &format!("kubernetes {line} {place}"))
    }
}

fn image() -> String {
    format!("--image sha256:{}", "0a".repeat(32))
}

#[test]
fn both_folders_are_compared_and_applied_and_then_there_is_nothing_to_do() {
    let bench = Bench::start();
    let before = bench.run("diff --folder bootstrap");
    assert_eq!((before.code, before.err.as_str()), (4, ""), "{before:?}");
    assert!(before.out.contains("+ `Namespace tandem` (`Namespace`) added [live]"), "{}", before.out);
    assert!(before.out.contains("`Role tandem/deployers` broadened: rights in the cluster"), "{}", before.out);
    assert!(bench.double.writes().is_empty());

    let asked = bench.run(&format!("apply {}", image()));
    assert_eq!((asked.code, asked.out.as_str()), (5, ""), "{asked:?}");
    assert!(asked.err.contains("bootstrap@us-west-2: create Namespace tandem\n"), "{}", asked.err);
    assert!(asked.err.contains("hint: look at the lines above, then apply with `--yes`"), "{}", asked.err);
    assert!(bench.double.writes().is_empty());

    let applied = bench.run(&format!("apply --yes {}", image()));
    assert_eq!(applied.code, 0, "{applied:?}");
    assert!(applied.out.contains("bootstrap@us-west-2: Namespace tandem created\n"), "{}", applied.out);
    assert!(applied.out.contains("manifests@us-west-2: Deployment tandem/consumer created\n"), "{}", applied.out);
    assert!(applied.err.contains("[manifests@us-west-2] Deployment tandem/consumer: ready"), "{}", applied.err);

    bench.double.forget_calls();
    let same = bench.run("diff");
    assert_eq!((same.code, same.out.as_str(), same.err.as_str()), (0, "no changes\n", ""));
    // Nothing is asked where there is nothing to do.
    let again = bench.run("apply --format json");
    assert_eq!(again.code, 0, "{again:?}");
    let objects = |folder: usize| again.json()[folder]["objects"].as_array().expect("objects").clone();
    assert!(objects(0).iter().chain(&objects(1)).all(|object| object["result"] == "unchanged"), "{}", again.out);
    assert!(bench.double.writes().is_empty());
    let markdown = bench.run("diff --format markdown");
    assert!(markdown.out.contains("<code>staging</code>: no infrastructure change"), "{}", markdown.out);
}

#[test]
fn a_conflict_is_shown_and_refused_and_taken_over_on_demand() {
    let bench = Bench::start();
    assert_eq!(bench.run(&format!("apply --yes {}", image())).code, 0);
    bench.double.edit("configmaps", "tandem", "synth-consumer", "tandem-synth", |_| {});
    bench.double.edit("horizontalpodautoscalers", "tandem", "consumer", "kubectl-edit", |object| {
        object["spec"]["maxReplicas"] = 99.into();
    });
    let diff = bench.run("diff --folder consumer");
    assert!(diff.out.contains("`spec.maxReplicas` is owned by `kubectl-edit`"), "{}", diff.out);
    let refused = bench.run("apply --yes --folder consumer");
    assert_eq!(refused.code, 5);
    let hint = "hint: take these fields over with `--take-over HorizontalPodAutoscaler/consumer`";
    assert!(refused.err.contains(hint), "{}", refused.err);
    let taken = bench.run("apply --yes --folder consumer --take-over HorizontalPodAutoscaler/consumer");
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(taken.out.contains("HorizontalPodAutoscaler tandem/consumer changed"), "{}", taken.out);
    assert_eq!(bench.run("diff").code, 0);
}

#[test]
fn what_is_missing_is_said_with_the_repair() {
    let bench = Bench::start();
    assert_eq!(bench.run("apply --yes --folder bootstrap").code, 0);
    let without_image = bench.run("apply --yes --folder consumer");
    assert_eq!(without_image.code, 5, "{without_image:?}");
    assert!(without_image.err.contains("refused: nothing says which image"), "{}", without_image.err);
    bench.double.without("monitoring.coreos.com");
    let without_kind = bench.run("diff --folder consumer");
    assert!(without_kind.out.contains("the cluster serves no `PodMonitor`"), "{}", without_kind.out);
    let refused = bench.run(&format!("apply --yes --folder consumer {}", image()));
    assert!(refused.err.contains("hint: install the Prometheus operator in the cluster"), "{}", refused.err);
}

#[test]
fn wrong_requests_are_told_apart() {
    let bench = Bench::start();
    let folder = bench.checkout.path();
    let local = synth_in(folder, "kubernetes diff --env sandbox");
    assert_eq!(local.code, 1);
    let expected = "usage error: `sandbox` runs on the local platform, which has no cluster\n";
    assert!(local.err.starts_with(expected), "{}", local.err);
    let two = synth_in(folder, "kubernetes diff --env staging --kubeconfig kubeconfig");
    assert!(two.err.contains("hint: say with `--region` which of them it is"), "{}", two.err);
    let unknown = synth_in(folder, "kubernetes diff --env staging --kubeconfig kubeconfig --region eu-west-1");
    assert!(unknown.err.contains("its regions are us-west-2, us-east-1"), "{}", unknown.err);
    let tag = bench.run("apply --image latest");
    assert!(tag.err.contains("an image is named by its digest"), "{}", tag.err);
    let placeholder = synth_in(folder, "kubernetes diff --env staging");
    assert!(
        placeholder.err.starts_with("configuration error: environment `staging` is in no account yet"),
        "{}",
        placeholder.err
    );
    let context = bench.run("diff --context elsewhere");
    assert!(context.err.contains("there is no way to the cluster of us-west-2"), "{}", context.err);
    fs::write(folder.join("kubeconfig"), bench.double.kubeconfig().replace(bench.double.url(), "http://127.0.0.1:9"))
        .expect("a file");
    let nobody = bench.run("diff --folder consumer");
    assert_eq!(nobody.code, 0, "what isn't compared is no change: {nobody:?}");
    assert!(nobody.err.contains("warning: manifests@us-west-2 is not compared"), "{}", nobody.err);
    let nobody = bench.run(&format!("apply --yes {}", image()));
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.err.contains("the cluster of us-west-2 can't be asked"), "{}", nobody.err);
}
