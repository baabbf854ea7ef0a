//! Proves to an EKS cluster who asks, without another program: a token that holds the address of a call to STS, signed by who
//! asks, which the cluster makes to learn who that is (EKS best practices guide, "Cluster access management"; form of
//! aws-iam-authenticator, read 2026-12).

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use kubernetes::{Identity, IdentityError, Token};

/// How long the address can be called. The cluster takes the token for a quarter of an hour from its date all the same.
const EXPIRES: Duration = Duration::from_secs(60);

/// How long a token serves; a cluster refuses one that is older than 15 minutes, by its own clock.
const LASTS: Duration = Duration::from_secs(14 * 60);

/// The header that says which cluster is meant, so that no other can use the token.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// Who asks an EKS cluster: whoever the credentials belong to.
pub(crate) struct EksIdentity {
    pub(crate) config: SdkConfig,
    pub(crate) region: String,
    pub(crate) cluster: String,
}

impl Identity for EksIdentity {
    fn token(&self) -> BoxFuture<'_, Result<Token, IdentityError>> {
        Box::pin(async {
            let provider = self.config.credentials_provider();
            let provider = provider.ok_or_else(|| IdentityError("there are no credentials for AWS".into()))?;
            let credentials = provider.provide_credentials().await.map_err(|error| IdentityError(error.into()))?;
            let secret = token(&credentials, &self.region, &self.cluster, SystemTime::now());
            Ok(Token { secret: secret.map_err(IdentityError)?, lasts: LASTS })
        })
    }
}

type SigningError = Box<dyn std::error::Error + Send + Sync>;

/// `k8s-aws-v1.` and the signed address.
fn token(credentials: &Credentials, region: &str, cluster: &str, now: SystemTime) -> Result<String, SigningError> {
    Ok(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(signed(credentials, region, cluster, now)?)))
}

/// The address of the call, signed for this region and this cluster.
fn signed(credentials: &Credentials, region: &str, cluster: &str, now: SystemTime) -> Result<String, SigningError> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = format!("https://sts.{region}.{domain}/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let headers = [(CLUSTER_HEADER, cluster)];
    let signable = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    let mut request = http::Request::get(url).body(())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// 2026-12-01T10:00:00Z
    const AT: u64 = 1_796_119_200;

    fn check(token: Option<&str>, region: &str, cluster: &str, expected: &str) {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, token.map(str::to_owned), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(AT);
        let made = super::token(&credentials, region, cluster, now).unwrap();
        let url = URL_SAFE_NO_PAD.decode(made.strip_prefix("k8s-aws-v1.").unwrap()).unwrap();
        let url = String::from_utf8(url).unwrap();
        let (place, query) = url.split_once('?').unwrap();
        assert_eq!(place, format!("https://sts.{region}.amazonaws.com/"));
        let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        assert_eq!(query["X-Amz-Signature"], expected, "{url}");
        assert_eq!((query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]), ("60", "host%3Bx-k8s-aws-id"));
        assert_eq!(query.contains_key("X-Amz-Security-Token"), token.is_some());
    }

    /// The signatures that botocore 1.44.8 makes for the same credentials, cluster and second.
    #[test]
    fn it_signs_as_another_sdk_does() {
        check(
            Some("IQoJb3JpZ2luX2VjEXAMPLE//token=="),
            "us-west-2",
            "tandem-staging",
            "37fc7080f6e3e3a21aa1fb7e7d23c5b13eddbb6900d9e192a77b579f675ec3cc",
        );
        check(
            None,
            "us-east-1",
            "tandem-production",
            "e6ba4d39c23dddf8d36fd28b36e200c0c891aec71e2e9850068af7a938da2c51",
        );
    }
}
