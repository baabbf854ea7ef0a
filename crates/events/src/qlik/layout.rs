//! Where a data record keeps its parts.
//!
//! Qlik nests `data`, `beforeData` and `headers`; what stands between it and Kafka may flatten them, in part or all.
//! These places are known (those of the operation are what MongoDB's sink takes, `sink/cdc/qlik`, read 2026-11):
//!
//! | part | nested | flattened | bare |
//! |---|---|---|---|
//! | headers | `headers: {operation}` | `headers_operation`, `headers__operation`, `headers.operation` | `operation`, beside a nested image |
//! | images | `data: {id}`, `beforeData: {id}` | `data_id`, `beforeData_id`, by the separator of the headers | `id`: every other member, if there is no image elsewhere |
//!
//! Each image is looked for by itself: a `beforeData` that is null doesn't hide a flattened `data`.
//! A record with flattened headers, an image and further members isn't guessed at: a bare column may have a name like an image's.

/// What is wrong with a record whose members may be columns of their own or have nothing to do with the row.
pub(super) const FLAT_OR_BARE: &str = "it has an image, and members beside it that may be columns";

/// The headers that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Operation,
    ChangeSequence,
    Timestamp,
    StreamPosition,
    ColumnMask,
}

impl Header {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "operation" => Self::Operation,
            "changeSequence" => Self::ChangeSequence,
            "timestamp" => Self::Timestamp,
            "streamPosition" => Self::StreamPosition,
            "columnMask" => Self::ColumnMask,
            _ => return None,
        })
    }
}

/// Where the headers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderPlace {
    /// In the member `headers`.
    Nested,
    /// In members whose names begin with `headers` and this separator.
    Flat(&'static str),
    /// In members of their own.
    Bare,
}

/// What a member of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<'n> {
    Headers,
    Header(Header),
    Data,
    Before,
    DataColumn(&'n str),
    BeforeColumn(&'n str),
    /// Nothing that is needed, or a column of its own if no image is elsewhere.
    Other,
}

impl HeaderPlace {
    /// Finds the headers among the members; `is_nested` says whether `headers` is there and can hold some.
    pub(super) fn find(is_nested: bool, has: impl Fn(&str) -> bool) -> Option<Self> {
        if is_nested {
            return Some(Self::Nested);
        }
        let flat = [("headers__operation", "__"), ("headers_operation", "_"), ("headers.operation", ".")];
        let flat = flat.into_iter().find(|(name, _)| has(name)).map(|(_, separator)| Self::Flat(separator));
        flat.or_else(|| (has("operation") && (has("data") || has("beforeData"))).then_some(Self::Bare))
    }

    /// What the member of this name is.
    pub(super) fn role(self, name: &str) -> Role<'_> {
        match (self, name) {
            (_, "data") => Role::Data,
            (_, "beforeData") => Role::Before,
            (_, "headers") => Role::Headers,
            (Self::Nested, _) => Role::Other,
            (Self::Bare, name) => Header::from_name(name).map_or(Role::Other, Role::Header),
            (Self::Flat(separator), name) => {
                let after = |group: &str| name.strip_prefix(group)?.strip_prefix(separator);
                if let Some(header) = after("headers") {
                    // The rest of the headers is needed as little as `headers` itself.
                    return Header::from_name(header).map_or(Role::Headers, Role::Header);
                }
                let before = after("beforeData").map(Role::BeforeColumn);
                before.or_else(|| after("data").map(Role::DataColumn)).unwrap_or(Role::Other)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_their_roles() {
        let find = |names: &[&str]| HeaderPlace::find(false, |name| names.contains(&name));
        assert_eq!(HeaderPlace::find(true, |_| false), Some(HeaderPlace::Nested));
        assert_eq!(find(&["headers_operation"]), Some(HeaderPlace::Flat("_")));
        assert_eq!(find(&["headers.operation"]), Some(HeaderPlace::Flat(".")));
        assert_eq!(find(&["operation", "data"]), Some(HeaderPlace::Bare));
        // That is a column.
        assert_eq!(find(&["operation", "id"]), None);
        let flat = HeaderPlace::Flat("__");
        for (name, role) in [
            ("headers__operation", Role::Header(Header::Operation)),
            ("headers__changeMask", Role::Headers),
            ("data", Role::Data),
            ("data__id", Role::DataColumn("id")),
            ("data_id", Role::Other),
            ("beforeData__id", Role::BeforeColumn("id")),
            ("timestamp", Role::Other),
        ] {
            assert_eq!(flat.role(name), role, "{name}");
        }
        assert_eq!(HeaderPlace::Bare.role("timestamp"), Role::Header(Header::Timestamp));
    }
}
