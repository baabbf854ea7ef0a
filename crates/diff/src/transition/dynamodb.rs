//! Tables: indexes and replicas one at a time.
//!
//! Source: `AWS::DynamoDB::GlobalTable` in CloudFormation's template reference, and "Best practices for global tables".

use super::{Context, Found};
use crate::model::{Severity, code};
use crate::tables::{GLOBAL_TABLE, TABLE, TableDelta, delta, is_table};

const IN_STEPS: &str = "it is done in several updates, one after the other";

/// Tables that stay, with what happens to them.
fn tables<'a>(context: &Context<'a>) -> impl Iterator<Item = (&'a str, TableDelta<'a>)> {
    context
        .pairs()
        .filter(|(_, old, new)| is_table(*old) && old.type_name() == new.type_name() && old != new)
        .filter_map(|(id, old, new)| Some((id, delta(old, new)?)))
}

fn needs_sequence(id: &str, message: String) -> Found {
    Found { severity: Severity::NeedsSequence, subject: Some(id.to_owned()), message, safe_path: IN_STEPS.to_owned() }
}

pub(super) fn one_index_at_a_time(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, delta) in tables(context).filter(|(_, delta)| delta.indexes() > 1) {
        let count = delta.indexes();
        found.push(needs_sequence(
            id,
            format!("table {} adds or removes {count} indexes, and DynamoDB takes one an update", code(id)),
        ));
    }
}

pub(super) fn one_replica_at_a_time(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, delta) in tables(context).filter(|(_, delta)| delta.replicas() > 1) {
        let count = delta.replicas();
        found.push(needs_sequence(
            id,
            format!("table {} adds or removes {count} replicas, and DynamoDB takes one an update", code(id)),
        ));
    }
}

pub(super) fn indexes_and_replicas_are_apart(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, _) in tables(context).filter(|(_, delta)| delta.indexes() > 0 && delta.replicas() > 0) {
        found.push(needs_sequence(id, format!("table {} changes an index and a replica in one update", code(id))));
    }
}

pub(super) fn replicas_change_alone(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, _) in tables(context).filter(|(_, delta)| delta.has_others && delta.replicas() > 0) {
        found.push(needs_sequence(
            id,
            format!(
                "table {} changes a replica together with other settings, and neither is sure to be made",
                code(id)
            ),
        ));
    }
}

pub(super) fn own_replica_stays(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, delta) in tables(context) {
        if delta.removed_replicas.contains(&context.key.region.as_str()) {
            let region = code(&context.key.region);
            found.push(Found {
                severity: Severity::Refused,
                subject: Some(id.to_owned()),
                message: format!("table {} loses its replica in {region}, the region of its own stack", code(id)),
                safe_path:
                    "keep it: a table is managed from a region that has a replica; to move it, orphan the table \
                            here and import it in another region's stack"
                        .to_owned(),
            });
        }
    }
}

pub(super) fn tables_keep_their_type(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, old, new) in context.pairs() {
        if matches!((old.type_name(), new.type_name()), (TABLE, GLOBAL_TABLE) | (GLOBAL_TABLE, TABLE)) {
            found.push(Found {
                severity: Severity::Refused,
                subject: Some(id.to_owned()),
                message: format!(
                    "{} becomes {} under the same logical id, which can delete the table with its rows",
                    code(old.type_name()),
                    code(new.type_name())
                ),
                safe_path: format!(
                    "deploy `DeletionPolicy: Retain` on {}, remove it from the template, and import the table as {}",
                    code(id),
                    code(new.type_name())
                ),
            });
        }
    }
}
