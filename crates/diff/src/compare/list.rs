//! Lists: which item of the one is which item of the other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Comparison, Difference, Path, Side, difference, label};
use crate::pieces::is_no_value;

/// Properties by which items are told apart, the most telling first.
const KEYS: [&str; 9] =
    ["Key", "IndexName", "Region", "AttributeName", "Sid", "Name", "Id", "PolicyName", "DimensionName"];

impl Comparison<'_> {
    pub(super) fn lists<'a>(
        &self,
        before: &'a [Value],
        after: &'a [Value],
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        let before: Vec<&Value> = before.iter().filter(|item| !is_no_value(item)).collect();
        let after: Vec<&Value> = after.iter().filter(|item| !is_no_value(item)).collect();
        let has_order = !self.is_unordered(&before, &after, path);
        match common_key(&before, &after) {
            Some(key) if !has_order || in_same_order(&before, &after, key) => {
                self.keyed(&before, &after, key, path, found);
            }
            _ if has_order => self.ordered(&before, &after, path, found),
            _ => self.unordered(&before, &after, path, found),
        }
    }

    /// Whether the order means nothing: the schema says so, or these are tags.
    fn is_unordered(&self, before: &[&Value], after: &[&Value], path: &Path<'_>) -> bool {
        let tags = |items: &[&Value]| {
            !items.is_empty()
                && items.iter().all(|item| {
                    item.as_object().is_some_and(|map| {
                        map.contains_key("Key")
                            && map.contains_key("Value")
                            && map.keys().all(|key| matches!(key.as_str(), "Key" | "Value" | "PropagateAtLaunch"))
                    })
                })
        };
        if tags(before) && tags(after) {
            return true;
        }
        let property = self.description.and_then(|description| description.property(&path.schema()));
        property.is_some_and(cfn::Schema::is_unordered)
    }

    /// Items that are told apart by a key.
    fn keyed<'a>(
        &self,
        before: &[&'a Value],
        after: &[&'a Value],
        key: &str,
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        let new: BTreeMap<&str, &'a Value> = after.iter().map(|item| (key_of(item, key), *item)).collect();
        let old: BTreeSet<&str> = before.iter().map(|item| key_of(item, key)).collect();
        for item in before {
            let name = key_of(item, key);
            let label = label(name);
            self.optional(Some(item), new.get(name).copied(), &path.item(&label), found);
        }
        for item in after {
            let name = key_of(item, key);
            if !old.contains(name) {
                self.optional(None, Some(item), &path.item(&label(name)), found);
            }
        }
    }

    /// Items at their places; what is alike at both ends is left out, so that an insertion is one difference.
    fn ordered<'a>(&self, before: &[&'a Value], after: &[&'a Value], path: &Path<'_>, found: &mut Vec<Difference<'a>>) {
        let same = |left: usize, right: usize| {
            let item = path.item("0");
            self.same(before[left], after[right], &item)
        };
        let shorter = before.len().min(after.len());
        let head = if before.len() == after.len() { 0 } else { (0..shorter).take_while(|at| same(*at, *at)).count() };
        let tail = if before.len() == after.len() {
            0
        } else {
            (1..=shorter - head).take_while(|at| same(before.len() - at, after.len() - at)).count()
        };
        let (old, new) = (&before[head..before.len() - tail], &after[head..after.len() - tail]);
        for at in 0..old.len().max(new.len()) {
            let label = (head + at).to_string();
            self.optional(old.get(at).copied(), new.get(at).copied(), &path.item(&label), found);
        }
    }

    /// Items of which only the number of each counts.
    fn unordered<'a>(
        &self,
        before: &[&'a Value],
        after: &[&'a Value],
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        let mut new: Vec<Option<&'a Value>> = after.iter().map(|item| Some(*item)).collect();
        let mut canonical: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, item) in after.iter().enumerate().rev() {
            canonical.entry(self.canonical(item, Side::After).to_string()).or_default().push(at);
        }
        let mut old = Vec::new();
        for (at, item) in before.iter().enumerate() {
            let same = canonical.get_mut(&self.canonical(item, Side::Before).to_string()).and_then(Vec::pop);
            match same {
                Some(same) => new[same] = None,
                None => old.push((at, *item)),
            }
        }
        let item_path = path.item("0");
        let mut fresh: Vec<(usize, &'a Value)> =
            new.into_iter().enumerate().filter_map(|(at, item)| item.map(|item| (at, item))).collect();
        // What only looks different, such as `"30"` and `30`.
        old.retain(|(_, item)| match fresh.iter().position(|(_, new)| self.same(item, new, &item_path)) {
            Some(at) => {
                fresh.remove(at);
                false
            }
            None => true,
        });
        // Sorted, so that the result doesn't depend on an order that means nothing.
        old.sort_by_cached_key(|(_, item)| item.to_string());
        fresh.sort_by_cached_key(|(_, item)| item.to_string());
        for at in 0..old.len().max(fresh.len()) {
            let (old, new) = (old.get(at), fresh.get(at));
            let label = at.to_string();
            found.push(difference(old.map(|(_, item)| *item), new.map(|(_, item)| *item), &path.item(&label)));
        }
    }
}

/// The name of an item within a path: its key if the list has one, or its place.
pub(crate) fn item_label(items: &[Value], index: usize) -> String {
    let items: Vec<&Value> = items.iter().collect();
    match common_key(&items, &items) {
        Some(key) => label(key_of(items[index], key)).into_owned(),
        None => index.to_string(),
    }
}

/// The property that tells the items of both lists apart.
fn common_key(before: &[&Value], after: &[&Value]) -> Option<&'static str> {
    let tells_apart = |items: &[&Value], key: &str| {
        let mut seen = BTreeSet::new();
        items.iter().all(|item| item.get(key).and_then(Value::as_str).is_some_and(|name| seen.insert(name)))
    };
    if before.is_empty() && after.is_empty() {
        return None;
    }
    KEYS.into_iter().find(|key| tells_apart(before, key) && tells_apart(after, key))
}

fn in_same_order(before: &[&Value], after: &[&Value], key: &str) -> bool {
    let old: BTreeSet<&str> = before.iter().map(|item| key_of(item, key)).collect();
    let new: BTreeSet<&str> = after.iter().map(|item| key_of(item, key)).collect();
    let kept = before.iter().map(|item| key_of(item, key)).filter(|name| new.contains(name));
    kept.eq(after.iter().map(|item| key_of(item, key)).filter(|name| old.contains(name)))
}

fn key_of<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}
