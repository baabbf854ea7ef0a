//! A folder of manifests as objects to apply.

use contracts::Region;
use infra::environment::Environment;
use infra::kubernetes::{self as objects, Folder, Manifest, NAMESPACE};
use kubernetes::{Bundle, Delivery, Object, Place, Wanted};

use crate::error::Error;

/// The owner of every field that the manifests set.
const MANAGER: &str = "tandem-synth";

/// The label that says by which folder an object was applied.
const FOLDER_LABEL: &str = "tandem/folder";

/// The objects of a region's folder, with the image by its digest.
///
/// # Errors
/// The manifests are broken, which a test would have found.
pub(crate) fn bundle(
    environment: &Environment,
    region: &Region,
    folder: Folder,
    digest: Option<&str>,
) -> Result<Bundle, Error> {
    let broken = || Error::internal(format!("the manifests of {region} can't be applied"));
    let manifests = objects::placed(environment, region, folder, digest);
    let stands_by = stands_by(environment, region);
    let wanted = manifests.into_iter().map(|manifest| {
        let delivery = delivery(environment, region, &manifest, stands_by.as_ref());
        Object::new(manifest.value).map(|object| Wanted { object, delivery })
    });
    let wanted = wanted.collect::<Result<_, _>>().map_err(|error| broken().caused_by(error))?;
    let inventory = Place { namespace: NAMESPACE.to_owned(), name: format!("synth-{}", folder.name()) };
    Bundle::new(wanted, MANAGER, (FOLDER_LABEL, folder.name()), inventory).map_err(|error| broken().caused_by(error))
}

/// The deployment that an administrator makes without pods, where the region stands by.
fn stands_by(environment: &Environment, region: &Region) -> Option<Manifest> {
    let manifests = objects::manifests(environment, region);
    manifests.into_iter().find(|manifest| manifest.delivery == objects::Delivery::CreatedOnce)
}

fn delivery(environment: &Environment, region: &Region, manifest: &Manifest, stands_by: Option<&Manifest>) -> Delivery {
    if manifest.delivery == objects::Delivery::CreatedOnce {
        return Delivery::MadeOnce;
    }
    let is_it = |other: &&Manifest| {
        (&other.kind, &other.namespace, &other.name) == (&manifest.kind, &manifest.namespace, &manifest.name)
    };
    match stands_by.filter(is_it) {
        None => Delivery::Applied,
        // Made by this application it would begin with a pod, and two regions would consume.
        Some(_) => Delivery::AppliedOnceThere(format!(
            "the region stands by, so an administrator makes it without pods, once: `synth kubernetes apply --env {} --region \
             {region} --folder bootstrap`",
            environment.environment_name()
        )),
    }
}
