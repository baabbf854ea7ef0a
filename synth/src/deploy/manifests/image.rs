//! Which image of the consumer is deployed: the one that is named, or else the one that runs.

use std::fmt;
use std::str::FromStr;

use contracts::{CdcConsumer, Region};
use infra::environment::Environment;
use infra::kubernetes::{self as objects, NAMESPACE};
use kubernetes::{Cluster, Key};
use serde_json::Value;

use super::trouble::call_error;
use crate::error::Error;

/// The digest of an image, which every registry has it under: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDigest(String);

impl ImageDigest {
    /// `sha256:…`
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_digest =
            text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_digit));
        match is_digest {
            true => Ok(Self(text.to_owned())),
            false => {
                Err("an image is named by its digest, `sha256:` and 64 digits, because a tag may be given to another \
                          image; `docker buildx imagetools inspect <image>` shows it"
                    .to_owned())
            }
        }
    }
}

/// Where the digest comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// It is named, or runs.
    Known(ImageDigest),
    /// Nothing runs yet, and none is named.
    Unknown {
        /// What the deployment has instead, if there is one.
        has: Option<String>,
    },
}

impl Image {
    pub(crate) fn digest(&self) -> Option<&str> {
        match self {
            Self::Known(digest) => Some(digest.as_str()),
            Self::Unknown { .. } => None,
        }
    }

    /// The digest, without which nothing is applied.
    pub(crate) fn required(&self, region: &str) -> Result<(), Error> {
        let Self::Unknown { has } = self else { return Ok(()) };
        let error = match has {
            Some(image) => Error::refused(format!(
                "the consumer of {region} has the image `{image}`, which isn't pinned by a digest"
            )),
            None => Error::refused(format!("nothing says which image the consumer of {region} gets")),
        };
        Err(error
            .hint("push the image to the region's registry, then name it with `--image sha256:…`")
            .hint("leave the cluster alone with `--skip-manifests`"))
    }
}

/// The image that is named, or the one that the cluster's deployment has.
///
/// # Errors
/// The cluster can't be asked.
pub(crate) async fn image(cluster: &Cluster, region: &Region, named: Option<&ImageDigest>) -> Result<Image, Error> {
    if let Some(digest) = named {
        return Ok(Image::Known(digest.clone()));
    }
    let deployment = Key {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        name: CdcConsumer::NAME.to_owned(),
    };
    let live = cluster.read("apps/v1", &deployment).await;
    let live = live.map_err(|error| call_error(region.as_str(), error))?;
    Ok(live.map_or(Image::Unknown { has: None }, |live| image_of(&live)))
}

fn image_of(deployment: &Value) -> Image {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let container = containers.into_iter().find(|container| container["name"] == CdcConsumer::NAME);
    let image = container.and_then(|container| container["image"].as_str());
    let digest = image.and_then(|image| image.split_once('@')).and_then(|(_, digest)| digest.parse().ok());
    match digest {
        Some(digest) => Image::Known(digest),
        None => Image::Unknown { has: image.map(str::to_owned) },
    }
}

/// An image without its tag or digest, so that which one it is makes no difference.
pub(super) fn without_version(environment: &Environment, region: &Region, image: &mut Value) {
    let repository = objects::image_repository(environment, region);
    if image.as_str().is_some_and(|image| image.starts_with(&repository)) {
        *image = Value::String(repository);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_digest_names_an_image() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(digest.parse::<ImageDigest>().unwrap().as_str(), digest);
        for wrong in ["latest", "sha256:12", &digest.to_uppercase(), &digest[..70], &format!("{digest}0")] {
            let why = wrong.parse::<ImageDigest>().unwrap_err();
            assert!(why.starts_with("an image is named by its digest"), "{why}");
        }
    }

    #[test]
    fn what_runs_is_read_from_the_deployment() {
        let image = |image: &str| {
            image_of(&json!({"spec": {"template": {"spec": {"containers": [
                {"name": "other", "image": "x"}, {"name": "consumer", "image": image}
            ]}}}}))
        };
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(image(&format!("r.example.com/consumer@{digest}")).digest(), Some(digest.as_str()));
        let tagged = image("r.example.com/consumer:0.0.0");
        assert_eq!(tagged, Image::Unknown { has: Some("r.example.com/consumer:0.0.0".to_owned()) });
        let error = tagged.required("us-west-2").unwrap_err();
        assert!(error.to_string().contains("which isn't pinned by a digest"), "{error}");
        assert!(image_of(&json!({})).required("us-west-2").unwrap_err().hints()[0].contains("--image"));
    }
}
