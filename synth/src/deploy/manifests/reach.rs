//! The way to a region's cluster: what the stack `cluster` says of it and a token for AWS's credentials, or a kubeconfig.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::SdkConfig;
use infra::environment::Environment;
use infra::kubernetes::{AUTHORITY_OUTPUT, CLUSTER_STACK, ENDPOINT_OUTPUT, NAME_OUTPUT};
use kubernetes::{Clock, Cluster, Endpoint, Identity};

use super::token::EksIdentity;
use super::trouble::connect_error;
use crate::deploy::inputs::Outputs;
use crate::deploy::sdk::Clouds;
use crate::deploy::system::StackKey;
use crate::error::Error;

/// How clusters are reached.
pub(crate) struct Reach {
    way: Way,
    clock: Arc<dyn Clock>,
}

enum Way {
    /// By the outputs of stacks. Regions without credentials are asked without a token.
    Stacks(BTreeMap<String, SdkConfig>),
    Kubeconfig {
        file: Option<PathBuf>,
        context: Option<String>,
    },
}

impl Reach {
    /// As whoever AWS's credentials belong to.
    ///
    /// # Errors
    /// A region has no clients.
    pub(crate) fn by_stacks(clouds: &Clouds, environment: &Environment) -> Result<Self, Error> {
        let regions = environment.regions().map(contracts::Region::as_str);
        let configs = regions.map(|region| Ok((region.to_owned(), clouds.config(region)?)));
        let configs = configs.collect::<Result<_, Error>>()?;
        Ok(Self { way: Way::Stacks(configs), clock: Arc::new(kubernetes::SystemClock::default()) })
    }

    /// As a kubeconfig says.
    pub(crate) fn by_kubeconfig(file: Option<PathBuf>, context: Option<String>) -> Self {
        Self { way: Way::Kubeconfig { file, context }, clock: Arc::new(kubernetes::SystemClock::default()) }
    }

    /// By stacks, with nobody to be and time of one's own.
    #[cfg(test)]
    pub(super) fn for_tests(clock: Arc<dyn Clock>) -> Self {
        Self { way: Way::Stacks(BTreeMap::new()), clock }
    }

    /// The cluster of a region; `outputs` are those of what is deployed.
    ///
    /// # Errors
    /// There is none yet, or its address can't be used.
    pub(crate) async fn cluster(&self, region: &str, outputs: &Outputs) -> Result<Cluster, Error> {
        let clock = Arc::clone(&self.clock);
        let configs = match &self.way {
            Way::Stacks(configs) => configs,
            Way::Kubeconfig { file, context } => {
                let cluster = Cluster::of_kubeconfig(file.as_deref(), context.as_deref(), clock).await;
                return cluster.map_err(|error| connect_error(region, error));
            }
        };
        let said = outputs.get(&StackKey::new(CLUSTER_STACK, region));
        let output = |name: &str| said.and_then(|outputs| outputs.get(name)).cloned();
        let (Some(url), Some(name)) = (output(ENDPOINT_OUTPUT), output(NAME_OUTPUT)) else {
            return Err(Error::configuration(format!("there is no cluster in {region} yet"))
                .hint("deploy the stack `cluster` there first"));
        };
        let Some(authority) = output(AUTHORITY_OUTPUT) else {
            return Err(Error::configuration(format!(
                "the stack `cluster` of {region} doesn't say who vouches for it yet"
            ))
            .hint("deploy that stack: an older version of it had no such output"));
        };
        let identity = configs.get(region).map(|config| {
            let identity = EksIdentity { config: config.clone(), region: region.to_owned(), cluster: name };
            Arc::new(identity) as Arc<dyn Identity>
        });
        let endpoint = Endpoint { url, certificate_authority: Some(authority).filter(|text| !text.is_empty()) };
        Cluster::at(&endpoint, identity, clock).await.map_err(|error| connect_error(region, error))
    }
}
