//! What runs in the clusters, as typed Kubernetes objects: one set for each environment and region.
//!
//! Pure like the stacks: [`manifests`] gives values, [`files`] their text with a `kustomization.yaml` for each folder.
//! Nothing here speaks to a cluster. An environment on the local platform has no cluster (the consumer runs there as a
//! process), so it has no manifests.
//!
//! There are two folders, because what limits a deployment must not be changed by it:
//!
//! - `bootstrap`: the namespace with its pod security, its quota, and who may do what. An administrator applies it once,
//!   and again when it changes.
//! - `consumer`: everything else; the deploy role has the rights for exactly that.
//!
//! The consumer runs in the home region. In the others its deployment stands by with no replicas: two regions in one
//! consumer group would write the same keys within the replication lag, and an older change could win. A failover sets
//! the replicas; the autoscaler leaves a deployment with none alone.
//!
//! So the number of pods is in no file that is applied: applied again after a failover it would stop the consumer. An
//! administrator makes the deployment of a region that stands by before the first deployment there: `synth kubernetes apply
//! --folder bootstrap` does, and so does `kubectl create -f bootstrap/standby-deployment.yaml`, which refuses to do anything
//! a second time. It must be made and not applied: what is applied once is taken back when a later file is silent about
//! it, and the pods would be one.
//!
//! The consumer's settings are a `ConfigMap` named after its content, so old ones stay behind. `synth` prunes those that no
//! ReplicaSet of the deployment, which keeps a few for rollbacks, names any more.
//!
//! Three things must be in the cluster that neither the `cluster` stack nor this module brings: Prometheus with the
//! operator's kinds in the namespace `monitoring`, an adapter that gives the autoscaler what the rules of
//! [`crate::dashboards`] record of the consumer's lag as an external metric, and, where nodes should follow the load, an
//! autoscaler of nodes.

mod bootstrap;
mod configuration;
mod custom;
mod deployment;
mod network;
mod scaling;

use std::collections::BTreeMap;

use contracts::Region;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::environment::{Environment, SYSTEM};
use crate::stacks::cluster;
pub use crate::stacks::cluster::{AUTHORITY_OUTPUT, CLUSTER_STACK, ENDPOINT_OUTPUT, NAME_OUTPUT, NAMESPACE};

/// The tag of the consumer's image until a deployment sets a digest: the workspace's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The namespace that Prometheus runs in.
const MONITORING: &str = "monitoring";

/// Who applies a manifest; also the name of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// An administrator, once: it limits what deployments may do.
    Bootstrap,
    /// Every deployment, after the bootstrap.
    Consumer,
}

impl Folder {
    /// Both, in the order in which they are applied.
    pub const ALL: [Self; 2] = [Self::Bootstrap, Self::Consumer];

    /// The folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Consumer => "consumer",
        }
    }
}

/// One Kubernetes object.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Who applies it.
    pub folder: Folder,
    /// Name of its file in the folder, such as `deployment.yaml`; each once in its folder.
    pub file: String,
    /// Its kind, such as `Deployment`.
    pub kind: String,
    /// Its namespace; none for what belongs to the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// How it gets into the cluster.
    pub delivery: Delivery,
    /// The whole object.
    pub value: Json,
}

/// How an object gets into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// With its folder, again and again.
    Applied,
    /// By itself and only if it isn't there, so it is left out of its folder's `kustomization.yaml`.
    CreatedOnce,
}

impl Manifest {
    fn new(folder: Folder, file: &str, object: &impl Serialize) -> Self {
        let value = serde_json::to_value(object).expect("Kubernetes objects are maps with text keys");
        let text = |pointer: &str| value.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        Self {
            folder,
            file: file.to_owned(),
            kind: text("/kind").expect("every object has a kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").expect("every object has a name"),
            delivery: Delivery::Applied,
            value,
        }
    }

    /// What an administrator makes and nobody changes by the file later.
    fn created_once(file: &str, object: &impl Serialize) -> Self {
        Self { delivery: Delivery::CreatedOnce, ..Self::new(Folder::Bootstrap, file, object) }
    }

    /// The object as YAML; the same value gives the same bytes.
    pub fn yaml(&self) -> String {
        yaml(&self.value)
    }
}

/// The objects of a region in the order in which they can be applied; none for an environment on the local platform.
pub fn manifests(environment: &Environment, region: &Region) -> Vec<Manifest> {
    if environment.is_local() {
        return Vec::new();
    }
    let mut manifests = bootstrap::manifests(environment);
    manifests.extend(network::manifests(environment));
    manifests.extend(configuration::manifests(environment, region));
    manifests.extend(deployment::manifests(environment, region));
    manifests.extend(scaling::manifests(environment));
    manifests
}

/// A folder's objects as they are applied: with the labels of the place, and the image by its digest (`sha256:…`) if there is
/// one.
pub fn placed(environment: &Environment, region: &Region, folder: Folder, digest: Option<&str>) -> Vec<Manifest> {
    let mut manifests = manifests(environment, region);
    manifests.retain(|manifest| manifest.folder == folder);
    for manifest in &mut manifests {
        for (label, text) in place(environment, region) {
            manifest.value["metadata"]["labels"][label] = json!(text);
            if let Some(labels) = manifest.value.pointer_mut("/spec/template/metadata/labels") {
                labels[label] = json!(text);
            }
        }
        if let (Some(digest), "Deployment") = (digest, manifest.kind.as_str()) {
            let image = format!("{}@{digest}", image_repository(environment, region));
            manifest.value["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        }
    }
    manifests
}

/// Labels that say where an object is.
fn place<'a>(environment: &'a Environment, region: &'a Region) -> [(&'static str, &'a str); 2] {
    [("tandem/environment", environment.environment_name()), ("tandem/region", region.as_str())]
}

/// Paths and texts of a region's manifests and of a `kustomization.yaml` in each folder.
pub fn files(environment: &Environment, region: &Region) -> Vec<(String, String)> {
    let manifests = manifests(environment, region);
    let mut files = Vec::new();
    for folder in Folder::ALL {
        let own: Vec<&Manifest> = manifests.iter().filter(|manifest| manifest.folder == folder).collect();
        if own.is_empty() {
            continue;
        }
        let path = |file: &str| format!("{}/{file}", folder.name());
        files.extend(own.iter().map(|manifest| (path(&manifest.file), manifest.yaml())));
        files.push((path("kustomization.yaml"), yaml(&kustomization(environment, region, folder, &own))));
    }
    files
}

/// Lets `kubectl apply -k` and others take the folder, add labels of the place, and set the image's digest.
fn kustomization(environment: &Environment, region: &Region, folder: Folder, manifests: &[&Manifest]) -> Json {
    let applied = manifests.iter().filter(|manifest| manifest.delivery == Delivery::Applied);
    let resources: Vec<&String> = applied.map(|manifest| &manifest.file).collect();
    let mut kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
        // Not in selectors, which can't be changed later.
        "labels": [{
            "includeTemplates": true,
            "pairs": text_map(place(environment, region)),
        }],
    });
    if folder == Folder::Consumer {
        kustomization["images"] = json!([{"name": image_repository(environment, region), "newTag": VERSION}]);
    }
    kustomization
}

/// Where the region's cluster pulls the consumer's image from; the `cluster` stack makes the repository.
pub fn image_repository(environment: &Environment, region: &Region) -> String {
    format!("{}.dkr.ecr.{region}.amazonaws.com/{}", environment.account(), cluster::repository(environment))
}

/// Name and labels of an object of the consumer.
fn metadata(name: &str) -> ObjectMeta {
    let mut metadata = shared_metadata(name);
    metadata.labels.get_or_insert_default().extend(selected_labels());
    metadata
}

/// Name and labels of an object that is for the whole namespace.
fn shared_metadata(name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(NAMESPACE.to_owned()), ..unbound_metadata(name) }
}

/// Name and labels of an object that belongs to no namespace.
fn unbound_metadata(name: &str) -> ObjectMeta {
    let labels = text_map([("app.kubernetes.io/managed-by", "synth"), ("app.kubernetes.io/part-of", SYSTEM)]);
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}

/// What selectors ask for; it can't be changed while a deployment lives.
fn selected_labels() -> BTreeMap<String, String> {
    text_map([("app.kubernetes.io/name", contracts::CdcConsumer::NAME), ("app.kubernetes.io/part-of", SYSTEM)])
}

/// Selects the consumer's pods.
fn consumer_pods() -> LabelSelector {
    LabelSelector { match_labels: Some(selected_labels()), ..LabelSelector::default() }
}

fn text_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    items.into_iter().map(str::to_owned).collect()
}

fn yaml(value: &Json) -> String {
    serde_saphyr::to_string(value).expect("JSON values are YAML values")
}
