//! A run that dies at any call, before it or after it, and the next one that carries on.

use kubernetes_double::Fault;
use serde_json::json;

use crate::support::{Bench, bundle, deployment, settings};

fn before() -> kubernetes::Bundle {
    bundle(vec![settings("old", "blue"), settings("same", "blue"), deployment("shop:1", "same")])
}

fn after() -> kubernetes::Bundle {
    let extra = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extra"}});
    let mut inside = settings("inside", "blue");
    inside["metadata"]["namespace"] = json!("extra");
    bundle(vec![inside, extra, settings("new", "blue"), settings("same", "red"), deployment("shop:2", "new")])
}

/// What an undisturbed run asks, and what it leaves.
async fn undisturbed() -> (Vec<(usize, Fault)>, (Vec<String>, Vec<String>)) {
    let bench = Bench::start().await;
    bench.apply(&before()).await;
    bench.double.forget_calls();
    bench.apply(&after()).await;
    let mut faults = Vec::new();
    for (number, call) in bench.double.calls().iter().enumerate() {
        faults.push((number, Fault::Unheard));
        // Whether a question was heard makes no difference.
        if call.is_write() {
            faults.push((number, Fault::Unanswered));
        }
    }
    assert!(faults.len() > 30, "{}", faults.len());
    (faults, (bench.inventory(), bench.double.names()))
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_call_is_carried_on() {
    let (faults, expected) = undisturbed().await;
    for (call, fault) in faults {
        let bench = Bench::start().await;
        bench.apply(&before()).await;
        bench.double.forget_calls();
        bench.double.die_at(call, fault.clone());
        let cluster = bench.cluster().await;
        let died = match kubernetes::survey(&cluster, &after(), &bench.options.consents).await {
            Ok(found) => kubernetes::apply(&cluster, &after(), found, &bench.options, &()).await.is_err(),
            Err(_) => true,
        };
        assert!(died, "call {call} {fault:?}");
        bench.double.forget_calls();
        let inventory = bench.inventory();
        for name in bench.double.names() {
            // `configmaps web/one` is `/ConfigMap/web/one` in the inventory.
            let (kind, place) = name.split_once(' ').unwrap();
            let is_it =
                |line: &String| line.ends_with(place) && line.to_lowercase().contains(kind.trim_end_matches('s'));
            let is_home = name == "namespaces /web" || name == "configmaps web/inventory";
            assert!(is_home || inventory.iter().any(is_it), "call {call} {fault:?}: {name} in {inventory:?}");
        }
        bench.apply(&after()).await;
        assert_eq!((bench.inventory(), bench.double.names()), expected, "call {call} {fault:?}");
        bench.double.forget_calls();
        assert_eq!(bench.apply(&after()).await, Vec::<String>::new());
        assert_eq!(bench.double.writes(), []);
    }
}

#[tokio::test]
async fn one_lost_answer_loses_nothing() {
    let (faults, expected) = undisturbed().await;
    for (call, fault) in faults {
        let bench = Bench::start().await;
        bench.apply(&before()).await;
        bench.double.forget_calls();
        bench.double.fault(call, fault.clone());
        bench.apply(&after()).await;
        assert_eq!((bench.inventory(), bench.double.names()), expected, "call {call} {fault:?}");
    }
}
