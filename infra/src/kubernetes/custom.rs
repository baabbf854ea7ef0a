//! Kinds that add-ons define, so that Kubernetes' own API description doesn't have them: only the fields that are used,
//! written after each project's reference (Prometheus operator `monitoring.coreos.com/v1`, Secrets Store CSI driver
//! `secrets-store.csi.x-k8s.io/v1`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;

/// Tells Prometheus which pods to ask for metrics.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodMonitor {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: PodMonitorSpec,
}

impl PodMonitor {
    pub(super) fn new(metadata: ObjectMeta, spec: PodMonitorSpec) -> Self {
        Self { api_version: "monitoring.coreos.com/v1", kind: "PodMonitor", metadata, spec }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodMonitorSpec {
    pub(super) selector: LabelSelector,
    pub(super) pod_metrics_endpoints: Vec<PodMetricsEndpoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodMetricsEndpoint {
    /// Name of the container's port.
    pub(super) port: String,
    pub(super) path: String,
    /// A duration with unit.
    pub(super) interval: String,
    /// A duration with unit, below the interval.
    pub(super) scrape_timeout: String,
}

/// Tells the driver of secrets which of them become which files.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretProviderClass {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: SecretProviderClassSpec,
}

impl SecretProviderClass {
    pub(super) fn new(metadata: ObjectMeta, spec: SecretProviderClassSpec) -> Self {
        Self { api_version: "secrets-store.csi.x-k8s.io/v1", kind: "SecretProviderClass", metadata, spec }
    }
}

#[derive(Serialize)]
pub(super) struct SecretProviderClassSpec {
    pub(super) provider: String,
    pub(super) parameters: Parameters,
}

/// What Amazon's provider asks for; every value is a text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    /// A list in YAML.
    pub(super) objects: String,
    pub(super) region: String,
    pub(super) use_pod_identity: String,
}
