//! Follows a running operation of a stack to its end and hands on its events.

use super::cloud::{CallClass, CallError, Cloud, Event, Observed, StackRef, Standing, patiently};

/// Looks at a stack that is at rest before it is believed though no event said that the operation ended.
///
/// Right after the start CloudFormation may still answer with the state before it.
const QUIET_LOOKS: u32 = 5;

/// From where on events belong to the operation that is followed.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The newest event that is older; none when all of them belong to it.
    after: Option<String>,
}

/// How a followed operation ended.
#[derive(Debug)]
pub(crate) struct Followed {
    /// The stack afterwards; none when it is gone.
    pub(crate) observed: Option<Observed>,
    /// The operation's events, oldest first.
    pub(crate) events: Vec<Event>,
}

/// Watches an operation that is about to be started.
pub(crate) async fn watch_from_now(cloud: &impl Cloud, stack: StackRef<'_>) -> Result<Watch, CallError> {
    let (newest, _) = page(cloud, stack, None).await?;
    Ok(Watch { after: newest.into_iter().next().map(|event| event.id) })
}

/// Watches an operation that runs already: from the event with which it began.
pub(crate) async fn watch_running(cloud: &impl Cloud, stack: StackRef<'_>) -> Result<Watch, CallError> {
    let mut token = None;
    let mut began = false;
    loop {
        let (events, next) = page(cloud, stack, token.as_deref()).await?;
        for event in events {
            if began {
                return Ok(Watch { after: Some(event.id) });
            }
            began = event.is_of_stack()
                && matches!(event.status.as_str(), "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS");
        }
        token = match next {
            Some(next) => Some(next),
            None => return Ok(Watch { after: None }),
        };
    }
}

/// Looks until the operation has ended; each event is reported once, in order.
pub(crate) async fn follow(
    cloud: &impl Cloud,
    stack: StackRef<'_>,
    watch: Watch,
    report: impl Fn(&Event),
) -> Result<Followed, CallError> {
    let mut events: Vec<Event> = Vec::new();
    let mut last_seen = watch.after;
    let (mut idle, mut at_rest) = (0, 0);
    loop {
        let fresh = events_after(cloud, stack, last_seen.as_deref()).await?;
        idle = if fresh.is_empty() { idle + 1 } else { 0 };
        for event in fresh {
            report(&event);
            last_seen = Some(event.id.clone());
            events.push(event);
        }
        let observed = patiently(cloud, stack.region, async || cloud.stack(stack).await).await?;
        let Some(observed) = observed else {
            return Ok(Followed { observed: None, events });
        };
        let runs = observed.status.standing() == Standing::Busy || observed.status.as_str() == "REVIEW_IN_PROGRESS";
        at_rest = if runs { 0 } else { at_rest + 1 };
        let end_was_told = events
            .iter()
            .rev()
            .find(|event| event.is_of_stack())
            .is_some_and(|event| event.status == observed.status.as_str());
        if !runs && (end_was_told || at_rest >= QUIET_LOOKS) {
            return Ok(Followed { observed: Some(observed), events });
        }
        cloud.pause(stack.region, idle).await;
    }
}

/// The events that are newer than `after`, oldest first.
async fn events_after(cloud: &impl Cloud, stack: StackRef<'_>, after: Option<&str>) -> Result<Vec<Event>, CallError> {
    let mut fresh = Vec::new();
    let mut token = None;
    loop {
        let (events, next) = page(cloud, stack, token.as_deref()).await?;
        for event in events {
            if Some(event.id.as_str()) == after {
                fresh.reverse();
                return Ok(fresh);
            }
            fresh.push(event);
        }
        if next.is_none() {
            fresh.reverse();
            return Ok(fresh);
        }
        token = next;
    }
}

/// One page of events; a stack that isn't there (any more) has none.
async fn page(
    cloud: &impl Cloud,
    stack: StackRef<'_>,
    token: Option<&str>,
) -> Result<(Vec<Event>, Option<String>), CallError> {
    match patiently(cloud, stack.region, async || cloud.events(stack, token).await).await {
        Err(error) if error.class == CallClass::NotFound => Ok((Vec::new(), None)),
        outcome => outcome,
    }
}
