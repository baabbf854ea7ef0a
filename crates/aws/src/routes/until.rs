//! A route that is given up on at a moment.

use breaker::{ClearFlag, DeleteEvent, EventKey, KeyFlag, ParkAnswer, ParkWrite, ParkedEvent, Shared, Survey, Write};
use std::future::Future;
use tokio::time::{Instant, timeout_at};

use super::{Counted, RouteStore, StoreError};

/// A route whose calls end at a deadline: without an answer by then they failed, and may have taken place.
#[derive(Clone, Copy, Debug)]
pub struct Until<'a, S> {
    store: &'a S,
    deadline: Instant,
}

impl<'a, S: RouteStore> Until<'a, S> {
    /// The route, until `deadline`.
    pub fn new(store: &'a S, deadline: Instant) -> Self {
        Self { store, deadline }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout_at(self.deadline, call).await.unwrap_or_else(|_| {
            let message = "no answer came before the function's deadline".to_owned();
            Err(StoreError { operation: "call", code: "OutOfTime".to_owned(), message })
        })
    }
}

impl<S: RouteStore> RouteStore for Until<'_, S> {
    async fn read(&self) -> Result<Shared, StoreError> {
        self.within(self.store.read()).await
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        self.within(self.store.write(write)).await
    }

    async fn park(&self, write: &ParkWrite) -> ParkAnswer {
        timeout_at(self.deadline, self.store.park(write)).await.unwrap_or(ParkAnswer::Failed)
    }

    async fn flags(&self, keys: &[EventKey]) -> Result<Vec<KeyFlag>, StoreError> {
        self.within(self.store.flags(keys)).await
    }

    async fn first_flags(&self, most: u32) -> Result<Vec<KeyFlag>, StoreError> {
        self.within(self.store.first_flags(most)).await
    }

    async fn oldest(&self, key: &EventKey) -> Result<Option<ParkedEvent>, StoreError> {
        self.within(self.store.oldest(key)).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.within(self.store.is_empty()).await
    }

    async fn count(&self) -> Result<Counted, StoreError> {
        self.within(self.store.count()).await
    }

    async fn delete(&self, delete: &DeleteEvent) -> Result<(), StoreError> {
        self.within(self.store.delete(delete)).await
    }

    async fn clear(&self, clear: &ClearFlag) -> Result<bool, StoreError> {
        self.within(self.store.clear(clear)).await
    }

    async fn note(&self, survey: &Survey) -> Result<(), StoreError> {
        self.within(self.store.note(survey)).await
    }
}
