//! A stand-in for a Kubernetes API over HTTP, so that what applies objects can be tested without a cluster.
//!
//! It does server-side apply as the API documents it: fields have owners, down to the item of a list; who changes what somebody
//! else owns is refused with the causes that the API gives; what isn't said any more goes; a dry run changes nothing; an
//! application that changes nothing isn't a new version. It fills in some defaults, writes amounts one way, refuses changes of
//! fixed fields, serves kinds that are defined later, and its controllers roll deployments out look by look.
//!
//! What it doesn't do: admission, watches, quotas, patches of other kinds, any rule of a kind's schema beyond those of lists.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let double = kubernetes_double::Double::start().await;
//! println!("a cluster at {}", double.url());
//! assert!(double.calls().is_empty());
//! # });
//! ```

mod defaults;
mod double;
mod kinds;
mod merge;
mod paths;
mod request;
mod rollout;
mod schema;
mod status;
mod world;

pub use double::{Call, Double, Fault};
pub use rollout::Rollout;
pub use status::Answer;
