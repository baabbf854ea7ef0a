//! The consumer's deployment, and who asks it for metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::{CdcConsumerSettings, Region};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    CSIVolumeSource, Capabilities, ConfigMapEnvSource, Container, ContainerPort, EnvFromSource, HTTPGetAction,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::configuration::{MountedSecret, mounted_secrets, settings_name};
use super::custom::{PodMetricsEndpoint, PodMonitor, PodMonitorSpec};
use super::{Folder, Manifest, VERSION, consumer_pods, image_repository, metadata, text_map, texts};
use crate::environment::Environment;
use crate::stacks::cluster::SERVICE_ACCOUNT;

/// Name of the port of `/health`, `/ready` and `/metrics`.
pub(super) const PORT: &str = "metrics";

/// User and group of the image.
const USER: i64 = 1001;

/// What checkov finds in the deployment, with the reason why it is right.
const ACCEPTED: [(&str, &str); 3] = [
    (
        "checkov.io/skip1",
        "CKV_K8S_15=tags of the repository never move, and a pod must start again while the registry is away",
    ),
    ("checkov.io/skip2", "CKV_K8S_40=the image's user is 1001, and nodes have no user of that number"),
    ("checkov.io/skip3", "CKV_K8S_43=the digest is set when the image is deployed"),
];

/// What the consumer needs beyond the deadline of its drain: the last commit, and the end of the process.
const AFTER_DRAIN: Duration = Duration::from_secs(10);

/// Processor and memory of a container.
#[derive(Clone, Copy)]
pub(super) struct Amounts {
    /// Thousandths of a processor.
    pub(super) processors_milli: u32,
    /// MiB.
    pub(super) memory_mebibytes: u32,
}

/// What a pod is sure to have; the autoscaler's percentages are of it.
pub(super) const REQUESTS: Amounts = Amounts { processors_milli: 500, memory_mebibytes: 512 };

/// What a pod may use at most.
pub(super) const LIMITS: Amounts = Amounts { processors_milli: 2000, memory_mebibytes: 2048 };

impl Amounts {
    /// The amounts of so many containers.
    pub(super) fn times(self, containers: u32) -> Self {
        let Self { processors_milli, memory_mebibytes } = self;
        Self { processors_milli: containers * processors_milli, memory_mebibytes: containers * memory_mebibytes }
    }

    /// As Kubernetes itself writes it, so that a comparison with what a cluster has finds no difference.
    pub(super) fn processors(self) -> String {
        match self.processors_milli {
            whole if whole.is_multiple_of(1000) => (whole / 1000).to_string(),
            milli => format!("{milli}m"),
        }
    }

    /// As Kubernetes itself writes it.
    pub(super) fn memory(self) -> String {
        match self.memory_mebibytes {
            whole if whole.is_multiple_of(1024) => format!("{}Gi", whole / 1024),
            mebibytes => format!("{mebibytes}Mi"),
        }
    }

    /// What a container is given.
    pub(super) fn quantities(self) -> BTreeMap<String, Quantity> {
        BTreeMap::from([
            ("cpu".to_owned(), Quantity(self.processors())),
            ("memory".to_owned(), Quantity(self.memory())),
        ])
    }
}

/// The port of `/health`, `/ready` and `/metrics`: the contract's default.
pub(super) fn port() -> i32 {
    CdcConsumerSettings::default().http_port.into()
}

pub(super) fn manifests(environment: &Environment, region: &Region) -> Vec<Manifest> {
    let mut manifests = vec![
        // Without a number of pods: at home the autoscaler says it, elsewhere a failover does, and a deployment after
        // that must take nothing back.
        Manifest::new(Folder::Consumer, "deployment.yaml", &deployment(environment, region, None)),
        Manifest::new(Folder::Consumer, "pod-monitor.yaml", &pod_monitor()),
    ];
    if !environment.is_primary(region) {
        // A deployment that is made without a number gets one pod, and a region that stands by must have none.
        manifests.push(Manifest::created_once("standby-deployment.yaml", &deployment(environment, region, Some(0))));
    }
    manifests
}

/// The deployment, with a number of pods only where it is made for the first time.
fn deployment(environment: &Environment, region: &Region, replicas: Option<i32>) -> Deployment {
    let spec = DeploymentSpec {
        replicas,
        selector: consumer_pods(),
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        }),
        // A pod that joins moves partitions; the next one waits until that has settled.
        min_ready_seconds: Some(10),
        progress_deadline_seconds: Some(600),
        revision_history_limit: Some(5),
        template: PodTemplateSpec { metadata: Some(pod_metadata()), spec: Some(pod(environment, region)) },
        ..DeploymentSpec::default()
    };
    let metadata = ObjectMeta { annotations: Some(text_map(ACCEPTED)), ..metadata(contracts::CdcConsumer::NAME) };
    Deployment { metadata, spec: Some(spec), ..Deployment::default() }
}

/// A pod in a template has neither name nor namespace of its own.
fn pod_metadata() -> ObjectMeta {
    ObjectMeta {
        labels: metadata(contracts::CdcConsumer::NAME).labels,
        annotations: Some(text_map([("kubectl.kubernetes.io/default-container", contracts::CdcConsumer::NAME)])),
        ..ObjectMeta::default()
    }
}

fn pod(environment: &Environment, region: &Region) -> PodSpec {
    let secrets = mounted_secrets(environment);
    let grace = environment.consumer().drain_deadline + AFTER_DRAIN;
    PodSpec {
        service_account_name: Some(SERVICE_ACCOUNT.to_owned()),
        automount_service_account_token: Some(false),
        // Variables about every service of the namespace would only be noise in the consumer's environment.
        enable_service_links: Some(false),
        // On-demand nodes: nothing here tolerates the taint of spot nodes. The image is built for arm64.
        node_selector: Some(text_map([("kubernetes.io/arch", "arm64"), ("kubernetes.io/os", "linux")])),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: i64::try_from(grace.as_millis().div_ceil(1000)).ok(),
        topology_spread_constraints: Some(vec![
            spread("topology.kubernetes.io/zone", "DoNotSchedule"),
            spread("kubernetes.io/hostname", "ScheduleAnyway"),
        ]),
        containers: vec![container(environment, region, &secrets)],
        volumes: (!secrets.is_empty()).then(|| secrets.iter().map(volume).collect()),
        ..PodSpec::default()
    }
}

/// Pods of one version are spread evenly; nodes that are closed to them don't count as places.
fn spread(topology_key: &str, when_unsatisfiable: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(consumer_pods()),
        match_label_keys: Some(texts(["pod-template-hash"])),
        max_skew: 1,
        node_taints_policy: Some("Honor".to_owned()),
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: when_unsatisfiable.to_owned(),
        ..TopologySpreadConstraint::default()
    }
}

fn container(environment: &Environment, region: &Region, secrets: &[MountedSecret<'_>]) -> Container {
    Container {
        name: contracts::CdcConsumer::NAME.to_owned(),
        image: Some(format!("{}:{VERSION}", image_repository(environment, region))),
        // The repository's tags never move.
        image_pull_policy: Some("IfNotPresent".to_owned()),
        env_from: Some(vec![EnvFromSource {
            config_map_ref: Some(ConfigMapEnvSource {
                name: settings_name(environment, region),
                optional: Some(false),
            }),
            ..EnvFromSource::default()
        }]),
        ports: Some(vec![ContainerPort {
            name: Some(PORT.to_owned()),
            container_port: port(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(ResourceRequirements {
            limits: Some(LIMITS.quantities()),
            requests: Some(REQUESTS.quantities()),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(texts(["ALL"])), ..Capabilities::default() }),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        // A minute to start; after that half a minute of silence is death. Not being ready has its own reasons (no
        // broker answers, or it drains) and restarts nothing.
        startup_probe: Some(Probe { period_seconds: Some(2), failure_threshold: Some(30), ..probe("/health") }),
        liveness_probe: Some(Probe { period_seconds: Some(10), failure_threshold: Some(3), ..probe("/health") }),
        readiness_probe: Some(Probe { period_seconds: Some(5), failure_threshold: Some(3), ..probe("/ready") }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: (!secrets.is_empty()).then(|| secrets.iter().map(mount).collect()),
        ..Container::default()
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT.to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// Secrets come from Secrets Manager when the pod starts, into memory, and are never Kubernetes secrets.
fn volume(secret: &MountedSecret<'_>) -> Volume {
    Volume {
        name: secret.name.to_owned(),
        csi: Some(CSIVolumeSource {
            driver: "secrets-store.csi.k8s.io".to_owned(),
            read_only: Some(true),
            volume_attributes: Some(text_map([("secretProviderClass", secret.name)])),
            ..CSIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn mount(secret: &MountedSecret<'_>) -> VolumeMount {
    VolumeMount {
        name: secret.name.to_owned(),
        mount_path: secret.folder.clone(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn pod_monitor() -> PodMonitor {
    let endpoint = PodMetricsEndpoint {
        port: PORT.to_owned(),
        path: "/metrics".to_owned(),
        interval: "15s".to_owned(),
        scrape_timeout: "10s".to_owned(),
    };
    let spec = PodMonitorSpec { selector: consumer_pods(), pod_metrics_endpoints: vec![endpoint] };
    PodMonitor::new(metadata(contracts::CdcConsumer::NAME), spec)
}
