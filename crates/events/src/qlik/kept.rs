//! What was announced or came along, kept in memory within a budget.
//!
//! It lives in one process: it is neither shared nor written down, and a process that starts knows nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use super::metadata::Announcement;
use super::schema::{InvalidSchema, WriterSchema};

/// What the values of one store may take in memory, in bytes.
const BUDGET: usize = 16 * 1024 * 1024;
/// How many values one store may have.
const MAX_VALUES: usize = 1024;

/// Announcements by their id. Beyond 1,024 of them, or 16 MiB, the oldest are forgotten.
#[derive(Debug, Default)]
pub struct Announcements(RwLock<Store<Announcement>>);

impl Announcements {
    /// Keeps an announcement. One with the same id takes the place of the one before.
    /// One that alone is larger than the budget isn't kept; then this is false.
    pub fn add(&self, announcement: Announcement) -> bool {
        let (id, bytes) = (announcement.id().to_owned(), announcement.bytes());
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(announcement), bytes)
    }

    /// What was announced under this id.
    pub fn get(&self, id: &str) -> Option<Arc<Announcement>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values.get(id).map(|kept| Arc::clone(&kept.value))
    }
}

/// Schemas that came with their messages, so that each is parsed once. Beyond 1,024 of them, or 16 MiB, the oldest are forgotten.
#[derive(Debug, Default)]
pub struct EmbeddedSchemas(RwLock<Store<WriterSchema>>);

impl EmbeddedSchemas {
    /// The schema of this text.
    ///
    /// # Errors
    /// See [`WriterSchema::parse`].
    pub fn get(&self, json: &str) -> Result<Arc<WriterSchema>, InvalidSchema> {
        if let Some(kept) = self.0.read().unwrap_or_else(PoisonError::into_inner).values.get(json) {
            return Ok(Arc::clone(&kept.value));
        }
        let schema = Arc::new(WriterSchema::parse(json)?);
        // The text itself, and what comes of it.
        let bytes = 9 * json.len();
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        store.insert(json.to_owned(), Arc::clone(&schema), bytes);
        Ok(schema)
    }
}

/// Values by name, the oldest of which are forgotten.
#[derive(Debug)]
struct Store<V> {
    values: HashMap<String, Kept<V>>,
    /// The names, oldest first. One that was replaced keeps its place.
    order: VecDeque<String>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    bytes: usize,
}

impl<V> Default for Store<V> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<V> Store<V> {
    fn insert(&mut self, name: String, value: Arc<V>, bytes: usize) -> bool {
        if bytes > BUDGET {
            return false;
        }
        match self.values.insert(name.clone(), Kept { value, bytes }) {
            Some(before) => self.bytes -= before.bytes,
            None => self.order.push_back(name),
        }
        self.bytes += bytes;
        while self.bytes > BUDGET || self.values.len() > MAX_VALUES {
            let Some(oldest) = self.order.pop_front().and_then(|name| self.values.remove(&name)) else {
                break;
            };
            self.bytes -= oldest.bytes;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut store = Store::default();
        for number in 0..=MAX_VALUES {
            assert!(store.insert(number.to_string(), Arc::new(number), 1));
        }
        assert_eq!((store.values.len(), store.order.len(), store.bytes), (MAX_VALUES, MAX_VALUES, MAX_VALUES));
        assert!(!store.values.contains_key("0") && store.values.contains_key("1"));
        // As large as all that may be kept: it stays alone.
        assert!(store.insert("large".to_owned(), Arc::new(0), BUDGET));
        assert_eq!((store.values.len(), store.order.len(), store.bytes), (1, 1, BUDGET));
        assert!(!store.insert("larger".to_owned(), Arc::new(0), BUDGET + 1));
        // The same name again takes no room twice.
        assert!(store.insert("large".to_owned(), Arc::new(1), 5));
        assert_eq!((store.order.len(), store.bytes, *store.values["large"].value), (1, 5, 1));
    }

    #[test]
    fn a_schema_that_comes_along_is_parsed_once() {
        let schemas = EmbeddedSchemas::default();
        let first = schemas.get("\"long\"").expect("a schema");
        assert!(Arc::ptr_eq(&first, &schemas.get("\"long\"").expect("a schema")));
        assert!(schemas.get("\"nothing\"").is_err());
    }
}
