//! Applies Kubernetes objects to a cluster and tells how they differ.
//!
//! ```no_run
//! use std::sync::Arc;
//! use kubernetes::{Bundle, Cluster, Consents, Delivery, Object, Options, Place, SystemClock, Wanted, apply, survey};
//! use serde_json::json;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = json!({
//!     "apiVersion": "v1", "kind": "ConfigMap",
//!     "metadata": {"namespace": "web", "name": "settings"}, "data": {"colour": "blue"},
//! });
//! let wanted = vec![Wanted { object: Object::new(settings)?, delivery: Delivery::Applied }];
//! let inventory = Place { namespace: "web".to_owned(), name: "shop-inventory".to_owned() };
//! let bundle = Bundle::new(wanted, "shop-deployer", ("example.com/bundle", "shop"), inventory)?;
//!
//! let cluster = Cluster::of_kubeconfig(None, None, Arc::new(SystemClock::default())).await?;
//! let found = survey(&cluster, &bundle, &Consents::default()).await?;
//! for object in &found.objects {
//!     println!("{}: {:?}", object.key, object.verdict);
//! }
//! let done = apply(&cluster, &bundle, found, &Options::default(), &()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - [`survey`] reads each object and asks the cluster, by a dry run of a server-side apply, what would become of it. Told is
//!   only what changes in fields that the bundle's manager owns or would own; what others own and what the cluster fills in is
//!   nobody's business here. Values of secrets are never told.
//! - [`apply`] writes what differs, in the order in which things need each other, waits until it works, and prunes.
//!
//! # What it costs
//!
//! A bundle that is as it should be costs two calls for each object, one for each group and version of their kinds, and one
//! for the inventory; none of them writes. Something that waits to be pruned costs two more, and six for each namespace with a
//! `ConfigMap` or `Secret` among those.
//!
//! # The decisions that shaped it
//!
//! - **Nothing is taken from others.** A field that somebody else owns is a conflict, which is named and refused before
//!   anything is written; [`Consents`] can agree to it, for an object or for all. Only what the same manager wrote itself, when
//!   it made an object that is made once, isn't somebody else's.
//! - **The inventory is ours**: a `ConfigMap` that lists what was applied. It is written before anything new is applied and
//!   again after the rest has gone, so a run that is killed anywhere loses nothing. Of what is in it and isn't wanted, only
//!   what has the bundle's label and fields of its manager is pruned. Namespaces and definitions of kinds need consent, and a
//!   `ConfigMap` or `Secret` stays as long as anything that starts pods names it, which is what a rollback would start.
//! - **A dry run needs the right to apply.** Who may only read is told what reading shows, and that it is only that.
//! - **Not there and couldn't ask are two things.** Only the cluster's own word means that something isn't there. What may pass
//!   is tried again, six times in all.
//!
//! It knows nothing of the system whose objects these are.

mod apply;
mod bundle;
mod call;
mod clock;
mod cluster;
mod compare;
mod conflict;
mod fields;
mod inventory;
mod object;
mod order;
mod prune;
mod ready;
mod references;
mod survey;

pub use apply::{ApplyError, Done, Failure, Options, apply};
pub use bundle::{Bundle, BundleError, Chosen, Consents, Delivery, Place, Wanted};
pub use call::{CallClass, CallError, Said};
pub use clock::{Clock, SystemClock};
pub use cluster::{Cluster, ConnectError, Endpoint, Identity, IdentityError, Token, Unserved};
pub use compare::{FieldChange, Seen};
pub use conflict::Conflict;
pub use inventory::InventoryError;
pub use object::{Key, KeyError, Object, ObjectError};
pub use order::is_whole;
pub use prune::{Fate, Kept, Unwanted};
pub use ready::{Diagnosis, PodReport, Progress, Unready};
pub use survey::{Compared, Live, Problem, Survey, SurveyError, Trouble, Verdict, Way, survey};
