//! How many pods of the consumer there are, and how many may be taken away at once.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
    ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Folder, Manifest, consumer_pods, metadata};
use crate::dashboards::{LAG_TO_SCALE_BY, RECORDS_PER_POD};
use crate::environment::{ConsumerSettings, Environment};

/// Percent of the requested processor time.
const PROCESSOR_PERCENT: i32 = 70;

/// Percent of the requested memory.
const MEMORY_PERCENT: i32 = 80;

pub(super) fn manifests(environment: &Environment) -> Vec<Manifest> {
    vec![
        Manifest::new(
            Folder::Consumer,
            "horizontal-pod-autoscaler.yaml",
            &horizontal_pod_autoscaler(environment.consumer()),
        ),
        Manifest::new(Folder::Consumer, "pod-disruption-budget.yaml", &pod_disruption_budget()),
    ]
}

fn horizontal_pod_autoscaler(settings: &ConsumerSettings) -> HorizontalPodAutoscaler {
    let pods = |number: u32| i32::try_from(number).expect("an environment has at most 100 pods");
    let spec = HorizontalPodAutoscalerSpec {
        min_replicas: Some(pods(settings.min_replicas)),
        max_replicas: pods(settings.max_replicas),
        scale_target_ref: CrossVersionObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: "Deployment".to_owned(),
            name: contracts::CdcConsumer::NAME.to_owned(),
        },
        metrics: Some(vec![utilization("cpu", PROCESSOR_PERCENT), utilization("memory", MEMORY_PERCENT), lag()]),
        behavior: Some(HorizontalPodAutoscalerBehavior {
            // Each step moves partitions and so holds up all pods for a moment: few large steps up, small ones down.
            scale_up: Some(HPAScalingRules {
                stabilization_window_seconds: Some(60),
                select_policy: Some("Max".to_owned()),
                policies: Some(vec![policy("Percent", 100, 60), policy("Pods", 2, 60)]),
                ..HPAScalingRules::default()
            }),
            scale_down: Some(HPAScalingRules {
                stabilization_window_seconds: Some(300),
                policies: Some(vec![policy("Pods", 1, 120)]),
                ..HPAScalingRules::default()
            }),
        }),
    };
    HorizontalPodAutoscaler {
        metadata: metadata(contracts::CdcConsumer::NAME),
        spec: Some(spec),
        ..HorizontalPodAutoscaler::default()
    }
}

fn utilization(resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: resource.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// Records that wait. Prometheus' rules record them by partition, and the adapter sums them up.
fn lag() -> MetricSpec {
    MetricSpec {
        type_: "External".to_owned(),
        external: Some(ExternalMetricSource {
            metric: MetricIdentifier { name: LAG_TO_SCALE_BY.to_owned(), selector: None },
            target: MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(RECORDS_PER_POD.to_string())),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

fn policy(type_: &str, value: i32, period_seconds: i32) -> HPAScalingPolicy {
    HPAScalingPolicy { type_: type_.to_owned(), value, period_seconds }
}

/// Draining nodes leaves one pod at work. A pod that isn't ready may always go: it would only keep a node alive.
fn pod_disruption_budget() -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(contracts::CdcConsumer::NAME),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(1)),
            selector: Some(consumer_pods()),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
