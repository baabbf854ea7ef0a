//! Who may do what, and who can reach what: whether a change makes it more or less.
//!
//! What a template allows is taken apart into atoms. More is possible when an atom of the new template isn't covered by
//! one of the old, less when it is the other way round. Covering is proven or counts as not covered, so what can't be
//! proven narrower counts as broadened; a covered union is not looked for. A value that only a deployment knows counts
//! as the same on both sides where it is written alike, and hangs on no mapping, condition or parameter that differs.

mod cidr;
mod condition;
mod marks;
mod network;
mod pattern;
mod reach;
mod sources;
mod statement;

use std::collections::BTreeSet;

use crate::model::{AccessChange, Direction, Flag};
use crate::parameters::Side;

pub(crate) use marks::marked;
pub(crate) use network::network;
pub(crate) use sources::Kind;

use statement::{Atom, Effect};

/// Changes of permissions between two templates, in order of subject.
///
/// `same_values` says that no parameter, condition or mapping changes, so that equal sources are equal in meaning.
pub(crate) fn permissions(before: Side<'_>, after: Side<'_>, same_values: bool) -> Vec<AccessChange> {
    let (old, new) = (sources::collect(before), sources::collect(after));
    let mut changes = Vec::new();
    let subjects = old.keys().chain(new.keys().filter(|subject| !old.contains_key(*subject)));
    for subject in subjects {
        let (was, is) = (old.get(subject), new.get(subject));
        if was == is && same_values {
            continue;
        }
        let atoms = |side: Side<'_>, other: Side<'_>, sources: Option<&Vec<sources::Conditional<'_>>>| -> Vec<Atom> {
            let resolve = |name: &str| side.shown_value(name, other);
            sources.into_iter().flatten().flat_map(|source| source.atoms(subject.kind, &resolve)).collect()
        };
        let (was, is) = (atoms(before, after, was), atoms(after, before, is));
        if let Some(change) = compare(subject.kind, subject.to_string(), &was, &is) {
            changes.push(change);
        }
    }
    changes.sort_by(|left, right| left.subject.cmp(&right.subject));
    changes
}

fn compare(kind: Kind, subject: String, before: &[Atom], after: &[Atom]) -> Option<AccessChange> {
    // As sets: what stands twice on one side must not hide what is new on the other.
    if before.iter().collect::<BTreeSet<_>>() == after.iter().collect::<BTreeSet<_>>() {
        return None;
    }
    let of =
        |atoms: &[Atom], effect| -> Vec<Atom> { atoms.iter().filter(|atom| atom.effect == effect).cloned().collect() };
    let beyond = |atoms: &[Atom], others: &[Atom]| -> Vec<Atom> {
        let covered = |atom: &&Atom| others.iter().any(|other| other == *atom || other.covers(atom));
        atoms.iter().filter(|atom| !covered(atom)).cloned().collect()
    };
    let (allowed, allows) = (of(before, Effect::Allow), of(after, Effect::Allow));
    let (denied, denies) = (of(before, Effect::Deny), of(after, Effect::Deny));
    let gained = beyond(&allows, &allowed);
    let lost = beyond(&allowed, &allows);
    let no_longer_denied = beyond(&denied, &denies);
    let newly_denied = beyond(&denies, &denied);
    let direction =
        direction(!gained.is_empty() || !no_longer_denied.is_empty(), !lost.is_empty() || !newly_denied.is_empty());
    let mut flags: Vec<Flag> = gained.iter().flat_map(|atom| atom.flags(kind)).collect();
    if kind == Kind::Trust && direction != Direction::Same {
        flags.push(Flag::TrustChange);
    }
    flags.sort_unstable();
    flags.dedup();
    let mut gained = statement::describe(&gained, "allows");
    gained.extend(statement::describe(&no_longer_denied, "no longer denies"));
    let mut lost = statement::describe(&lost, "no longer allows");
    lost.extend(statement::describe(&newly_denied, "denies"));
    Some(AccessChange { subject, direction, gained, lost, flags })
}

/// The direction of a change that gains and loses.
fn direction(gains: bool, loses: bool) -> Direction {
    match (gains, loses) {
        (false, false) => Direction::Same,
        (true, false) => Direction::Broadened,
        (false, true) => Direction::Narrowed,
        (true, true) => Direction::Both,
    }
}
