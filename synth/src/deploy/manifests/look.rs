//! What is in a region's cluster beside what should be.

use contracts::Region;
use futures::future::join_all;
use infra::environment::Environment;
use infra::kubernetes::Folder;
use kubernetes::{Bundle, Cluster, Problem, Survey, SurveyError, survey};

use super::bundle::bundle;
use super::image::{Image, image};
use super::reach::Reach;
use super::trouble::{call_error, survey_error};
use super::{Options, key};
use crate::deploy::inputs::Outputs;
use crate::deploy::system::StackKey;
use crate::error::Error;

/// What was found of a folder in a region.
pub(crate) struct Look {
    pub(crate) key: StackKey,
    pub(crate) region: Region,
    pub(crate) folder: Folder,
    /// What should be there. While nobody knows the image, with its tag.
    pub(crate) bundle: Bundle,
    pub(crate) found: Found,
}

/// What was found.
pub(crate) enum Found {
    /// The cluster was asked.
    Asked(Box<Asked>),
    /// It can't be compared as it is.
    Problems(Vec<Problem>),
    /// The cluster wasn't asked, or didn't answer.
    Unasked(Error),
}

/// A cluster that was asked.
pub(crate) struct Asked {
    pub(crate) cluster: Cluster,
    pub(crate) survey: Survey,
    pub(crate) image: Image,
}

impl Look {
    /// Whether an application is known to do nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.found, Found::Asked(asked) if asked.survey.is_nothing())
    }
}

/// Looks at a folder in regions at the same time.
///
/// # Errors
/// The manifests are broken, or what was agreed to names nothing. What can't be found out is part of the answer.
pub(crate) async fn looks(
    reach: &Reach,
    environment: &Environment,
    regions: &[&Region],
    folder: Folder,
    options: &Options,
    outputs: &Outputs,
) -> Result<Vec<Look>, Error> {
    let looks = regions.iter().map(|region| look(reach, environment, region, folder, options, outputs));
    join_all(looks).await.into_iter().collect()
}

/// Looks at a folder in a region.
///
/// # Errors
/// As [`looks`].
pub(super) async fn look(
    reach: &Reach,
    environment: &Environment,
    region: &Region,
    folder: Folder,
    options: &Options,
    outputs: &Outputs,
) -> Result<Look, Error> {
    let look = |bundle: Bundle, found| {
        let key = key(folder, region.as_str());
        Look { key, region: region.clone(), folder, bundle, found }
    };
    let cluster = match reach.cluster(region.as_str(), outputs).await {
        Ok(cluster) => match cluster.hello().await {
            Ok(()) => Ok(cluster),
            Err(error) => Err(call_error(region.as_str(), error)),
        },
        Err(error) => Err(error),
    };
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => {
            let digest = options.image.as_ref().map(super::ImageDigest::as_str);
            return Ok(look(bundle(environment, region, folder, digest)?, Found::Unasked(error)));
        }
    };
    let image = match folder {
        // Pods of the bootstrap have no image: there are none.
        Folder::Bootstrap => Ok(Image::Unknown { has: None }),
        Folder::Consumer => image(&cluster, region, options.image.as_ref()).await,
    };
    let image = match image {
        Ok(image) => image,
        Err(error) => return Ok(look(bundle(environment, region, folder, None)?, Found::Unasked(error))),
    };
    let bundle = bundle(environment, region, folder, image.digest())?;
    let consents = options.consents(&bundle)?;
    let found = match survey(&cluster, &bundle, &consents).await {
        Ok(survey) => Found::Asked(Box::new(Asked { cluster, survey, image })),
        Err(SurveyError::Problems(problems)) => Found::Problems(problems),
        Err(error) => Found::Unasked(survey_error(region.as_str(), error)),
    };
    Ok(look(bundle, found))
}
