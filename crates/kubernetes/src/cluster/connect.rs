//! Ways to a cluster: by a kubeconfig, or by an address with the authority that vouches for it and a token.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use kube::client::{Body, ClientBuilder};
use kube::config::{
    AuthInfo, Cluster as KnownCluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo,
    NamedCluster, NamedContext,
};
use kube::{Client, Config};
use tower::util::MapRequestLayer;

use super::Cluster;
use crate::call::{CallClass, CallError, Said};
use crate::clock::Clock;

/// How long it may take until the cluster takes a connection; a private one that can't be reached from here doesn't.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long before its end a token isn't used any more.
const MARGIN: Duration = Duration::from_secs(60);

/// Who asks, proven by tokens that don't last.
pub trait Identity: Send + Sync {
    /// A new token.
    fn token(&self) -> BoxFuture<'_, Result<Token, IdentityError>>;
}

/// What proves for a while who asks.
pub struct Token {
    /// The token itself.
    pub secret: String,
    /// How long it can be used from now on.
    pub lasts: Duration,
}

/// There is no token.
#[derive(Debug, thiserror::Error)]
#[error("there is no token for the cluster")]
pub struct IdentityError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl IdentityError {
    /// The error of a call that couldn't be made for want of a token.
    pub(super) fn during(self, doing: &str) -> CallError {
        let said = format!("{self}: {}", self.0);
        CallError { doing: doing.to_owned(), class: CallClass::Unauthenticated, source: Said(said) }
    }
}

/// Where a cluster is.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address: `https://…`.
    pub url: String,
    /// The authority that signed the cluster's certificate: PEM in base 64, as EKS and kubeconfigs give it. None: the
    /// machine's authorities.
    pub certificate_authority: Option<String>,
}

/// No way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used.
    #[error("the kubeconfig can't be used")]
    Kubeconfig(#[source] KubeconfigError),
    /// The client can't be made.
    #[error("`{url}` can't be used as a cluster's address")]
    Client {
        /// The address.
        url: String,
        /// Why.
        source: Box<kube::Error>,
    },
}

impl Cluster {
    /// The cluster of a kubeconfig: `file`, or what `KUBECONFIG` names, or the user's own; `context`, or the current one.
    ///
    /// # Errors
    /// The file can't be read, or names no cluster.
    pub async fn of_kubeconfig(
        file: Option<&Path>,
        context: Option<&str>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = match file {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(ConnectError::Kubeconfig)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        Self::new(config.map_err(ConnectError::Kubeconfig)?, None, clock)
    }

    /// The cluster at an address.
    ///
    /// # Errors
    /// The address or the authority can't be read.
    pub async fn at(
        endpoint: &Endpoint,
        identity: Option<Arc<dyn Identity>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        // Written as a kubeconfig, so that one reader reads addresses and authorities.
        let only = "cluster".to_owned();
        let cluster = KnownCluster {
            server: Some(endpoint.url.clone()),
            certificate_authority_data: endpoint.certificate_authority.clone(),
            ..KnownCluster::default()
        };
        let context = Context { cluster: only.clone(), user: Some(only.clone()), ..Context::default() };
        let kubeconfig = Kubeconfig {
            clusters: vec![NamedCluster { name: only.clone(), cluster: Some(cluster), ..NamedCluster::default() }],
            auth_infos: vec![NamedAuthInfo {
                name: only.clone(),
                auth_info: Some(AuthInfo::default()),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext { name: only.clone(), context: Some(context), ..NamedContext::default() }],
            current_context: Some(only),
            ..Kubeconfig::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.map_err(ConnectError::Kubeconfig)?;
        if config.cluster_url.scheme_str() == Some("http") {
            // The process's proxy is for HTTPS, and so are the machine's authorities, which take a while to read.
            config.proxy_url = None;
            config.root_cert = Some(Vec::new());
        }
        Self::new(config, identity.map(Bearer::new), clock)
    }

    fn new(mut config: Config, bearer: Option<Bearer>, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        config.connect_timeout = Some(CONNECT_LIMIT);
        // Its own repetitions go on for minutes; ours are in sight, and tests can shorten them.
        config.default_retry = false;
        let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let failed = |source| ConnectError::Client { url: address.clone(), source: Box::new(source) };
        let builder = ClientBuilder::try_from(config).map_err(failed)?;
        let client: Client = match &bearer {
            None => builder.build(),
            Some(bearer) => {
                let header = Arc::clone(&bearer.header);
                let sign = move |mut request: http::Request<Body>| {
                    if let Some(value) = header.read().unwrap_or_else(PoisonError::into_inner).clone() {
                        request.headers_mut().insert(AUTHORIZATION, value);
                    }
                    request
                };
                builder.with_layer(&MapRequestLayer::new(sign)).build()
            }
        };
        Ok(Self { client, clock, bearer, kinds: Mutex::default(), address })
    }
}

/// The token that calls carry, and when it has to be another one.
pub(super) struct Bearer {
    identity: Arc<dyn Identity>,
    header: Arc<RwLock<Option<HeaderValue>>>,
    /// When it is to be renewed, on the cluster's clock; nothing before there is one. Locked while a new one is made, so that
    /// many calls make one.
    renew_at: tokio::sync::Mutex<Option<Duration>>,
    is_refused: std::sync::atomic::AtomicBool,
}

impl Bearer {
    fn new(identity: Arc<dyn Identity>) -> Self {
        Self { identity, header: Arc::default(), renew_at: tokio::sync::Mutex::default(), is_refused: false.into() }
    }

    /// Makes sure that there is a token that lasts.
    pub(super) async fn refresh(&self, clock: &dyn Clock) -> Result<(), IdentityError> {
        let mut renew_at = self.renew_at.lock().await;
        let is_refused = self.is_refused.swap(false, std::sync::atomic::Ordering::Relaxed);
        if !is_refused && renew_at.is_some_and(|at| clock.elapsed() < at) {
            return Ok(());
        }
        let now = clock.elapsed();
        let Token { secret, lasts } = self.identity.token().await?;
        let value = HeaderValue::from_str(&format!("Bearer {secret}"));
        let mut value = value.map_err(|error| IdentityError(error.into()))?;
        value.set_sensitive(true);
        *self.header.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        *renew_at = Some(now + lasts.saturating_sub(MARGIN));
        Ok(())
    }

    /// The next call needs another token.
    pub(super) fn forget(&self) {
        self.is_refused.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
