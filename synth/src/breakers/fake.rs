//! A breaker in memory, with others who write its record and a store that fails, as told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use aws::routes::{Counted, StoreError};
use breaker::{Shared, Write};

use super::Breaker;

/// What happens at a write.
pub(super) enum AtWrite {
    /// Somebody else writes this first.
    Overtaken(Shared),
    /// It takes place, and the answer is lost.
    Unanswered,
    /// It is refused.
    Refused,
    /// It takes place, this follows, and the answer is lost.
    UnansweredAndOvertaken(Shared),
    /// The answer to a first attempt is lost, and the second one is refused by what the first has written.
    RefusedAfterItself,
}

/// A record in memory.
#[derive(Default)]
pub(super) struct FakeBreaker {
    pub(super) stored: RefCell<Option<Shared>>,
    /// What happens at the next writes; the ones after them go well.
    pub(super) script: RefCell<VecDeque<AtWrite>>,
    /// What waits, if it can be counted.
    pub(super) counted: RefCell<Option<Result<Counted, StoreError>>>,
    /// After so many reads none is answered any more.
    pub(super) readable: Cell<Option<usize>>,
    pub(super) writes: Cell<usize>,
}

pub(super) fn failed() -> StoreError {
    StoreError { operation: "any", code: "ServiceUnavailable".to_owned(), message: "told to fail".to_owned() }
}

impl FakeBreaker {
    pub(super) fn with(stored: Shared) -> Self {
        Self { stored: RefCell::new(Some(stored)), ..Self::default() }
    }

    pub(super) fn then(self, at_write: AtWrite) -> Self {
        self.script.borrow_mut().push_back(at_write);
        self
    }

    fn apply(&self, write: &Write) -> bool {
        let mut stored = self.stored.borrow_mut();
        let next = write.apply(stored.as_ref());
        let applied = next.is_some();
        *stored = next.or_else(|| stored.take());
        applied
    }
}

impl Breaker for FakeBreaker {
    async fn read(&self) -> Result<Shared, StoreError> {
        if let Some(left) = self.readable.get() {
            self.readable.set(Some(left.checked_sub(1).ok_or_else(failed)?));
        }
        Ok(self.stored.borrow().clone().unwrap_or_else(Shared::absent))
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        self.writes.set(self.writes.get() + 1);
        let at_write = self.script.borrow_mut().pop_front();
        match at_write {
            None => Ok(self.apply(write)),
            Some(AtWrite::Overtaken(other)) => {
                self.stored.replace(Some(other));
                Ok(self.apply(write))
            }
            Some(AtWrite::RefusedAfterItself) => {
                assert!(self.apply(write), "nobody else writes");
                Ok(false)
            }
            Some(AtWrite::Refused) => Err(failed()),
            Some(AtWrite::Unanswered) => {
                assert!(self.apply(write), "nobody else writes");
                Err(failed())
            }
            Some(AtWrite::UnansweredAndOvertaken(other)) => {
                assert!(self.apply(write), "nobody else writes");
                self.stored.replace(Some(other));
                Err(failed())
            }
        }
    }

    async fn count(&self) -> Result<Counted, StoreError> {
        self.counted.borrow().clone().expect("nobody counts")
    }
}
