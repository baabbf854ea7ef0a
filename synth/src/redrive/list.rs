//! The queues of what was given up on, with what they hold.

use contracts::Region;
use futures::future::try_join_all;
use infra::environment::Environment;
use serde::Serialize;

use super::queues::{Kind, kind_of, queues};
use super::sdk::count;
use crate::deploy::Clouds;
use crate::error::Error;
use crate::ui::table;

/// The environment's queues of what was given up on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// The environment.
    pub environment: String,
    /// The queues, region by region.
    pub queues: Vec<Listed>,
}

/// One queue of what was given up on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its region.
    pub region: String,
    /// Its name without system and environment.
    pub queue: String,
    /// About how many messages wait.
    pub waiting: u64,
    /// About how many somebody reads at this moment.
    pub hidden: u64,
    /// Whether `redrive` can replay them.
    pub replayable: bool,
    /// How they are replayed.
    pub replay: String,
}

impl List {
    /// The list for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let heading = ["region", "queue", "waiting", "hidden", "replayed"].map(str::to_owned).to_vec();
        let rows = self.queues.iter().map(|listed| {
            let Listed { region, queue, waiting, hidden, replayable: _, replay } = listed;
            vec![region.clone(), queue.clone(), waiting.to_string(), hidden.to_string(), replay.clone()]
        });
        let mut lines = table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
        lines.push("numbers are approximate".to_owned());
        lines
    }
}

/// Asks each queue, of one region if one is named.
pub(super) async fn list(clouds: &Clouds, environment: &Environment, region: Option<&Region>) -> Result<List, Error> {
    let queues = queues(environment).into_iter().filter(|queue| region.is_none_or(|region| *region == queue.region));
    let queues: Vec<_> = queues.collect();
    let listed = try_join_all(queues.iter().map(async |queue| {
        let held = count(clouds, environment, queue).await?;
        let kind = kind_of(&queue.name);
        Ok::<_, Error>(Listed {
            region: queue.region.to_string(),
            queue: queue.name.clone(),
            waiting: held.waiting,
            hidden: held.hidden,
            replayable: !matches!(kind, Kind::Not { .. }),
            replay: kind.says(),
        })
    }));
    Ok(List { environment: environment.environment_name().to_owned(), queues: listed.await? })
}
