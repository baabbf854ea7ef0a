//! Deployments as they would be heard: an environment's own stacks, with made-up durations.
//!
//! Everything is told at fixed times, so what is made of it can be compared byte for byte.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use infra::environment::Environment;
use jiff::{SignedDuration, Timestamp};

use super::apply::{Done, Progress, StackError};
use super::changes::Changes;
use super::cloud::{Event, Status};
use super::draft::stacks_of;
use super::failure::root_cause;
use super::system::{Stack, StackKey, Template};

/// How a story differs from one in which all goes well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twists {
    /// Resources that fail, with what the service says: stack, logical id, reason.
    pub(crate) failing: Vec<(StackKey, &'static str, &'static str)>,
    /// Stacks that are left alone.
    pub(crate) unchanged: Vec<&'static str>,
    /// Whether stacks are updated instead of created.
    pub(crate) updates: bool,
    /// Seconds after which nothing more is heard.
    pub(crate) breaks_off_after: Option<i64>,
}

/// What is told at one moment.
pub(crate) enum Told {
    Began,
    Phase(String),
    Event(Event),
    Ended(Result<Done, StackError>),
}

/// A story: who is told what, and when, in order.
pub(crate) struct Story {
    pub(crate) stacks: Vec<Stack>,
    /// Milliseconds since the beginning, position of the stack.
    pub(crate) told: Vec<(i64, usize, Told)>,
}

/// When every story begins.
pub(crate) fn beginning() -> Timestamp {
    "2026-12-01T09:50:30Z".parse().expect("a moment")
}

/// A moment of a story.
pub(crate) fn after(millis: i64) -> Timestamp {
    beginning() + SignedDuration::from_millis(millis)
}

/// The stacks of the environment `production`: 21 in two regions.
pub(crate) fn production() -> Vec<Stack> {
    let text = include_str!("../../../environments/production.toml");
    let environment = Environment::parse("environments/production.toml", text).expect("a good file");
    stacks_of(&environment).expect("a system")
}

/// A clock that stands until it is put on.
#[derive(Clone)]
pub(crate) struct Hands(Rc<Cell<Timestamp>>);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Cell::new(beginning())))
    }

    pub(crate) fn set(&self, millis: i64) {
        self.0.set(after(millis));
    }

    pub(crate) fn clock(&self) -> Box<dyn Fn() -> Timestamp> {
        let hands = Rc::clone(&self.0);
        Box::new(move || hands.get())
    }
}

impl Story {
    /// The story of `stacks`, which begins after `start` milliseconds.
    pub(crate) fn of(stacks: Vec<Stack>, start: i64, twists: &Twists) -> Self {
        let mut told = Vec::new();
        // When each stack has ended, and whether well.
        let mut ended: BTreeMap<StackKey, (i64, bool)> = BTreeMap::new();
        for (position, stack) in stacks.iter().enumerate() {
            let needs: Vec<(i64, bool)> = stack.depends_on.iter().filter_map(|key| ended.get(key).copied()).collect();
            if needs.iter().any(|(_, is_good)| !is_good) {
                ended.insert(stack.key.clone(), (0, false));
                continue;
            }
            let begins = needs.iter().map(|(end, _)| *end).max().unwrap_or(start);
            let mut tell = |at: i64, what: Told| told.push((at, position, what));
            tell(begins, Told::Began);
            if twists.unchanged.contains(&stack.key.name.as_str()) {
                tell(begins, Told::Phase("unchanged".to_owned()));
                tell(begins, Told::Ended(Ok(Done::Unchanged)));
                ended.insert(stack.key.clone(), (begins, true));
                continue;
            }
            let outcome = operation(stack, begins, twists, &mut tell);
            ended.insert(stack.key.clone(), outcome);
        }
        told.sort_by_key(|(at, position, _)| (*at, *position));
        if let Some(secs) = twists.breaks_off_after {
            told.retain(|(at, ..)| *at <= secs * 1_000);
        }
        Self { stacks, told }
    }

    /// When the last thing is heard.
    pub(crate) fn end(&self) -> i64 {
        self.told.last().map_or(0, |(at, ..)| *at)
    }

    /// Tells the story.
    pub(crate) fn tell(&self, hands: &Hands, progress: &dyn Progress) {
        for (at, position, told) in &self.told {
            hands.set(*at);
            let stack = &self.stacks[*position];
            match told {
                Told::Began => progress.began(stack),
                Told::Phase(text) => progress.phase(stack, text),
                Told::Event(event) => progress.event(stack, event),
                Told::Ended(outcome) => progress.ended(stack, outcome),
            }
        }
    }
}

/// One stack's change set, upload, execution and, if something fails, its undoing. Gives when it ends, and whether well.
fn operation(stack: &Stack, begins: i64, twists: &Twists, tell: &mut impl FnMut(i64, Told)) -> (i64, bool) {
    let mut at = begins + 300;
    for program in stack.programs() {
        tell(at, Told::Phase(format!("uploading {program}")));
        at += 1_400;
    }
    tell(at, Told::Phase("planning".to_owned()));
    at += 6_000;
    let (verb, done) = if twists.updates { ("UPDATE", "UPDATE_COMPLETE") } else { ("CREATE", "CREATE_COMPLETE") };
    tell(at, Told::Phase(if twists.updates { "updating" } else { "creating" }.to_owned()));
    let mut teller = Teller { stack, number: 0, events: Vec::new() };
    teller.happens(at + 200, &stack.cloudformation_name, &format!("{verb}_IN_PROGRESS"), Some("User Initiated"));
    let spans = spans(&stack.template, at + 1_500);
    let failing: Vec<_> = twists.failing.iter().filter(|(key, ..)| *key == stack.key).collect();
    let fails_at = failing.iter().filter_map(|(_, id, _)| spans.get(*id).map(|(_, end)| *end)).min();
    let mut end = at + 1_500;
    for (id, (start, stop)) in &spans {
        if fails_at.is_some_and(|fails_at| *start >= fails_at) {
            continue;
        }
        teller.happens(*start, id, &format!("{verb}_IN_PROGRESS"), None);
        if fails_at.is_none_or(|fails_at| *start + 700 < fails_at) {
            teller.happens(*start + 700, id, &format!("{verb}_IN_PROGRESS"), Some("Resource creation Initiated"));
        }
        match (failing.iter().find(|(_, failing, _)| failing == id), fails_at) {
            (Some((_, _, reason)), _) => teller.happens(*stop, id, &format!("{verb}_FAILED"), Some(reason)),
            (None, Some(fails_at)) if *stop > fails_at => {
                teller.happens(fails_at + 400, id, &format!("{verb}_FAILED"), Some("Resource creation cancelled"));
            }
            _ => {
                teller.happens(*stop, id, &format!("{verb}_COMPLETE"), None);
                end = end.max(*stop);
            }
        }
    }
    let (status, is_good) = match fails_at {
        None => (done, true),
        Some(fails_at) => {
            let (undoes, undone) = if twists.updates {
                ("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
            } else {
                ("ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE")
            };
            let blamed = "The following resource(s) failed";
            teller.happens(fails_at + 900, &stack.cloudformation_name, undoes, Some(blamed));
            end = fails_at + 2_000;
            for (id, _) in spans.iter().filter(|(_, (_, stop))| *stop < fails_at) {
                let verb = if twists.updates { "UPDATE" } else { "DELETE" };
                teller.happens(end, id, &format!("{verb}_IN_PROGRESS"), None);
                teller.happens(end + 2_500, id, &format!("{verb}_COMPLETE"), None);
                end += 900;
            }
            end += 2_600;
            (undone, false)
        }
    };
    end += 1_100;
    teller.happens(end, &stack.cloudformation_name, status, None);
    // Every two seconds a look is taken.
    let heard = |at: i64| at - at.rem_euclid(2_000) + 2_000;
    let mut events = teller.events;
    events.sort_by_key(|event| event.at);
    let outcome = if is_good {
        tell(heard(end) + 1, Told::Phase(status.to_owned()));
        let changes = Changes::creating(&stack.template);
        Ok(if twists.updates { Done::Updated(changes) } else { Done::Created(changes) })
    } else {
        tell(heard(end) + 1, Told::Phase(format!("failed: {status}")));
        Err(StackError::Operation(Box::new(root_cause(stack, &Status::new(status), None, &events))))
    };
    for event in events {
        let at = event.at.map_or(0, |at| at.duration_since(beginning()).as_millis());
        tell(heard(i64::try_from(at).unwrap_or_default()), Told::Event(event));
    }
    tell(heard(end) + 2, Told::Ended(outcome));
    (heard(end) + 2, is_good)
}

/// Makes the events of a stack.
struct Teller<'a> {
    stack: &'a Stack,
    number: usize,
    events: Vec<Event>,
}

impl Teller<'_> {
    fn happens(&mut self, at: i64, id: &str, status: &str, reason: Option<&str>) {
        self.number += 1;
        let of_stack = id == self.stack.cloudformation_name;
        let resource_type = self.stack.template.document()["Resources"][id]["Type"].as_str();
        self.events.push(Event {
            id: format!("{}-{}", self.stack.key, self.number),
            at: Some(after(at)),
            logical_id: id.to_owned(),
            physical_id: if of_stack { format!("arn:aws:cloudformation:::stack/{id}/1") } else { String::new() },
            resource_type: resource_type.unwrap_or("AWS::CloudFormation::Stack").to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
        });
    }
}

/// From when to when each resource is worked on: after what it refers to.
fn spans(template: &Template, start: i64) -> BTreeMap<String, (i64, i64)> {
    let mut spans = BTreeMap::new();
    let ids: Vec<&str> = template.resources().map(|(id, _)| id).collect();
    for id in &ids {
        place(template, id, start, &mut spans, &mut Vec::new());
    }
    spans
}

fn place<'t>(
    template: &'t Template,
    id: &'t str,
    start: i64,
    spans: &mut BTreeMap<String, (i64, i64)>,
    above: &mut Vec<String>,
) -> i64 {
    if let Some((_, end)) = spans.get(id) {
        return *end;
    }
    above.push(id.to_owned());
    let mut begins = start;
    for needed in template.needs_of(id) {
        let Some((needed, _)) = template.document()["Resources"].as_object().and_then(|all| all.get_key_value(&needed))
        else {
            continue;
        };
        if !above.contains(needed) {
            begins = begins.max(place(template, needed, start, spans, above));
        }
    }
    above.pop();
    let resource_type = template.document()["Resources"][id]["Type"].as_str().unwrap_or_default();
    let usual = match resource_type {
        "AWS::EKS::Cluster" => 540_000,
        "AWS::EKS::Nodegroup" => 150_000,
        "AWS::EKS::Addon" => 45_000,
        "AWS::EC2::NatGateway" => 95_000,
        "AWS::DynamoDB::GlobalTable" => 70_000,
        "AWS::KMS::Key" | "AWS::KMS::ReplicaKey" => 20_000,
        "AWS::IAM::Role" => 17_000,
        "AWS::Lambda::Function" | "AWS::Lambda::EventSourceMapping" => 8_000,
        _ => 4_000,
    };
    // The same for the same name, whatever the machine.
    let sum: i64 = id.bytes().map(i64::from).sum();
    let end = begins + usual + sum * 37 % (usual / 2);
    spans.insert(id.to_owned(), (begins, end));
    end
}
