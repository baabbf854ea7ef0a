//! A queue in memory, and functions that do what their records tell them.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use contracts::Region;
use events::Timestamp;
use events::dead_letter::DeadLetterEvent;

use super::plan::Received;
use super::port::{Answer, CallFailed, Entry, Port, REPLAY_LIMIT};

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) sent_at: Timestamp,
    visible_from: Instant,
}

/// The queue and what became of its messages.
///
/// What a function or bus does with a record depends on a word in it: `poison` comes back as a new letter, `broken` fails the
/// run, `again` is asked for again, `odd` gets no answer that can be read, `slow` takes nearly as long as it may.
pub(super) struct FakeQueue {
    /// The present: it stands still unless something takes long.
    now: Cell<Instant>,
    messages: RefCell<Vec<Message>>,
    next_id: Cell<usize>,
    /// What was taken over by a function, a bus or a queue.
    pub(super) taken: RefCell<Vec<String>>,
    /// Names of operations that are refused.
    pub(super) refuse: Cell<&'static str>,
    /// After so many calls none ever answers.
    pub(super) dies_after: Cell<Option<usize>>,
    /// Somebody else puts a letter there with each receive.
    pub(super) busy: Cell<bool>,
    pub(super) calls: Cell<usize>,
}

/// When messages come that are older than the run.
pub(super) const BEFORE: &str = "2026-03-04T00:00:00Z";
/// When the run begins.
pub(super) const START: &str = "2026-03-05T00:00:00Z";
/// When messages come that are newer.
const AFTER: &str = "2026-03-05T00:00:01Z";

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

impl FakeQueue {
    pub(super) fn with(bodies: impl IntoIterator<Item = String>) -> Self {
        let queue = Self {
            now: Cell::new(Instant::now()),
            messages: RefCell::default(),
            next_id: Cell::default(),
            taken: RefCell::default(),
            refuse: Cell::default(),
            dies_after: Cell::default(),
            busy: Cell::default(),
            calls: Cell::default(),
        };
        bodies.into_iter().for_each(|body| queue.put(body, BEFORE));
        queue
    }

    fn put(&self, body: String, at: &str) {
        let id = format!("m-{}", self.next_id.replace(self.next_id.get() + 1));
        let message = Message { id, body, sent_at: time(at), visible_from: self.now.get() };
        self.messages.borrow_mut().push(message);
    }

    /// Lets time go by.
    pub(super) fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.borrow().clone()
    }

    /// How many messages can be received at this moment.
    pub(super) fn visible(&self) -> usize {
        self.messages.borrow().iter().filter(|message| message.visible_from <= self.now.get()).count()
    }

    async fn call(&self, operation: &'static str) -> Result<(), CallFailed> {
        let calls = self.calls.replace(self.calls.get() + 1);
        if self.dies_after.get().is_some_and(|limit| calls >= limit) {
            std::future::pending::<()>().await;
        }
        if self.refuse.get() == operation {
            return Err(CallFailed { operation, source: "denied".into() });
        }
        Ok(())
    }

    fn hide_one(&self, receipt: &str, until: Instant) {
        let mut messages = self.messages.borrow_mut();
        if let Some(message) = messages.iter_mut().find(|message| receipt.starts_with(&format!("{}/", message.id))) {
            message.visible_from = until;
        }
    }

    /// The letter that the function writes when it gives up on the record of `payload` again.
    fn letter_of(&self, payload: &str) -> Option<String> {
        let messages = self.messages.borrow();
        let mut letters = messages.iter().filter_map(|message| {
            let letter: DeadLetterEvent = serde_json::from_str(&message.body).ok()?;
            payload.contains(letter.original_record().ok()?.as_str()).then(|| letter.to_json())
        });
        letters.next()
    }
}

impl Port for FakeQueue {
    fn now(&self) -> Instant {
        self.now.get()
    }

    async fn receive(&self, hidden_for: Duration) -> Result<Vec<Received>, CallFailed> {
        self.call("receive").await?;
        if self.busy.get() {
            self.put("somebody else's".to_owned(), AFTER);
        }
        let now = self.now.get();
        let mut messages = self.messages.borrow_mut();
        let visible = messages.iter_mut().filter(|message| message.visible_from <= now).take(10);
        let received = visible.map(|message| {
            message.visible_from = now + hidden_for;
            let Message { id, body, sent_at, .. } = message.clone();
            Received { receipt: format!("{id}/{}", self.calls.get()), id, body, sent_at: Some(sent_at) }
        });
        Ok(received.collect())
    }

    async fn hide(&self, receipts: &[String], time: Duration) -> Result<(), CallFailed> {
        self.call("hide").await?;
        receipts.iter().for_each(|receipt| self.hide_one(receipt, self.now.get() + time));
        Ok(())
    }

    async fn delete(&self, receipt: &str) -> Result<(), CallFailed> {
        self.call("delete").await?;
        self.messages.borrow_mut().retain(|message| !receipt.starts_with(&format!("{}/", message.id)));
        Ok(())
    }

    async fn invoke(&self, function: &str, payload: &str) -> Result<Answer, CallFailed> {
        self.call("invoke").await?;
        let done = Answer { function_error: None, payload: r#"{"batchItemFailures":[]}"#.to_owned() };
        if payload.contains("slow") {
            let letter = self.messages.borrow().iter().find(|message| message.body.contains("slow")).cloned();
            let hidden_until = letter.map(|letter| letter.visible_from);
            assert!(
                hidden_until.is_some_and(|until| until > self.now.get() + REPLAY_LIMIT),
                "it may show up meanwhile"
            );
            self.pass(REPLAY_LIMIT - Duration::from_secs(1));
        }
        if payload.contains("broken") {
            return Ok(Answer { function_error: Some("Unhandled".to_owned()), payload: "panicked".to_owned() });
        }
        if payload.contains("again") {
            return Ok(Answer { payload: r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#.to_owned(), ..done });
        }
        if payload.contains("odd") {
            return Ok(Answer { payload: "null".to_owned(), ..done });
        }
        if payload.contains("poison") {
            let letter = self.letter_of(payload).expect("the old letter is there until the replay succeeded");
            self.put(letter, AFTER);
            return Ok(done);
        }
        self.taken.borrow_mut().push(format!("{function} {payload}"));
        Ok(done)
    }

    async fn publish(&self, peer: &Region, envelope: &str) -> Result<Entry, CallFailed> {
        self.call("publish").await?;
        self.taken.borrow_mut().push(format!("{peer} {envelope}"));
        Ok(Entry { event_id: Some("e-1".to_owned()), error: None })
    }

    async fn send(&self, body: &str) -> Result<(), CallFailed> {
        self.call("send").await?;
        self.taken.borrow_mut().push(format!("raw-events {body}"));
        Ok(())
    }
}
