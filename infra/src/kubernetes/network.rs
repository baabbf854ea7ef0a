//! Whom the consumer may speak to. Everything else is refused, both ways, for every pod of the namespace.
//!
//! Addresses of brokers, registry and DynamoDB (whose gateway endpoint keeps Amazon's public addresses) can't be known
//! here, so those ways are open by port. They never lead to link-local addresses, where instances keep credentials.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::deployment::PORT;
use super::{Folder, MONITORING, Manifest, consumer_pods, metadata, shared_metadata, text_map, texts};
use crate::environment::{Environment, KafkaCluster};

/// The port of HTTPS.
const HTTPS: u16 = 443;

/// Where pods get their role's credentials: EKS's pod identity agent on each node.
const POD_IDENTITY_AGENT: &str = "169.254.170.23/32";

/// Addresses that a node keeps for itself, the instance's credentials among them.
const LINK_LOCAL: &str = "169.254.0.0/16";

pub(super) fn manifests(environment: &Environment) -> Vec<Manifest> {
    vec![
        Manifest::new(Folder::Consumer, "network-policy-default-deny.yaml", &default_deny()),
        Manifest::new(Folder::Consumer, "network-policy-consumer.yaml", &consumer(environment)),
    ]
}

fn default_deny() -> NetworkPolicy {
    let spec = NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(texts(["Egress", "Ingress"])),
        ..NetworkPolicySpec::default()
    };
    NetworkPolicy { metadata: shared_metadata("default-deny"), spec: Some(spec) }
}

fn consumer(environment: &Environment) -> NetworkPolicy {
    let scrape = NetworkPolicyIngressRule {
        from: Some(vec![namespace(MONITORING)]),
        ports: Some(vec![tcp(IntOrString::String(PORT.to_owned()))]),
    };
    let names = NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(selector([("k8s-app", "kube-dns")])),
            ..namespace("kube-system")
        }]),
        ports: Some(vec![number("UDP", 53), number("TCP", 53)]),
    };
    let role = NetworkPolicyEgressRule {
        to: Some(vec![addresses(POD_IDENTITY_AGENT, &[])]),
        ports: Some(vec![number("TCP", 80)]),
    };
    let services = NetworkPolicyEgressRule {
        to: Some(vec![addresses("0.0.0.0/0", &[LINK_LOCAL])]),
        ports: Some(ports(environment).into_iter().map(|port| number("TCP", port)).collect()),
    };
    let spec = NetworkPolicySpec {
        pod_selector: Some(consumer_pods()),
        policy_types: Some(texts(["Egress", "Ingress"])),
        ingress: Some(vec![scrape]),
        egress: Some(vec![names, role, services]),
    };
    NetworkPolicy { metadata: metadata(contracts::CdcConsumer::NAME), spec: Some(spec) }
}

/// Ports of AWS, of the brokers and of the Schema Registry.
fn ports(environment: &Environment) -> BTreeSet<u16> {
    let mut ports = BTreeSet::from([HTTPS]);
    if let KafkaCluster::Existing { brokers, schema_registry, .. } = &environment.kafka().cluster {
        // Their form is checked when the environment is read; a URL without a port has none after its last colon.
        let port = |address: &str| address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        ports.extend(brokers.iter().filter_map(|broker| port(broker)));
        ports.extend(port(schema_registry));
    }
    ports
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(selector([("kubernetes.io/metadata.name", name)])),
        ..NetworkPolicyPeer::default()
    }
}

fn selector<const N: usize>(labels: [(&str, &str); N]) -> LabelSelector {
    LabelSelector { match_labels: Some(text_map(labels)), ..LabelSelector::default() }
}

fn addresses(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    let except = (!except.is_empty()).then(|| texts(except.iter().copied()));
    NetworkPolicyPeer { ip_block: Some(IPBlock { cidr: cidr.to_owned(), except }), ..NetworkPolicyPeer::default() }
}

fn tcp(port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(port), protocol: Some("TCP".to_owned()), ..NetworkPolicyPort::default() }
}

fn number(protocol: &str, port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(port.into())),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    }
}
