//! Column masks: which columns an image holds.
//!
//! A mask is bytes in little-endian order with trailing zeros cut off; a bit stands for a column's ordinal.
//! Whether ordinals start at 0, at 1 or after a byte of header columns differs between deployments
//! (samples with a leading zero byte exist), so the start is found by what the image itself shows:
//! a column with a value must have its bit, and a bit must have its column.
//! Where several starts fit and say different things, nothing is guessed: a wrong guess would overwrite a column with null.

/// Which columns of an image are present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// All of them.
    Complete,
    /// Those whose entry is true.
    Partial(Vec<bool>),
    /// The mask fits the image in no known way, or in several that differ.
    Unclear,
}

/// Reads a mask over columns of which `has_value` says whether they hold something other than null.
pub(super) fn presence(mask: &[u8], has_value: &[bool]) -> Presence {
    let set: Vec<usize> = (0..mask.len() * 8).filter(|bit| mask[bit / 8] >> (bit % 8) & 1 == 1).collect();
    let columns = has_value.len();
    let mut starts = [0, 1].into_iter().chain((8..=64).step_by(8));
    if set.len() > columns {
        // More bits than columns: some stand for something else. That does no harm if wherever the columns begin, each has its bit.
        let last = set.last().copied().unwrap_or_default();
        let covers = |start: usize| (start..start + columns).all(|bit| set.binary_search(&bit).is_ok());
        return if starts.all(|start| start > last || covers(start)) { Presence::Complete } else { Presence::Unclear };
    }
    let mut fitting = starts.filter_map(|start| fit(&set, start, has_value));
    match fitting.next() {
        Some(present) if fitting.all(|other| other == present) => {
            if present.iter().all(|present| *present) {
                Presence::Complete
            } else {
                Presence::Partial(present)
            }
        }
        _ => Presence::Unclear,
    }
}

/// How many bits of a mask are set.
pub(super) fn count(mask: &[u8]) -> usize {
    mask.iter().map(|byte| byte.count_ones() as usize).sum()
}

/// Which columns are present if the first one's bit is `start`; none if that contradicts the image.
fn fit(set: &[usize], start: usize, has_value: &[bool]) -> Option<Vec<bool>> {
    let mut present = vec![false; has_value.len()];
    for bit in set {
        *present.get_mut(bit.checked_sub(start)?)? = true;
    }
    has_value.iter().zip(&present).all(|(value, present)| *present || !value).then_some(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mask: &[u8], has_value: &str, expected: &str) {
        let has_value: Vec<bool> = has_value.chars().map(|column| column == 'x').collect();
        let found = match presence(mask, &has_value) {
            Presence::Complete => "complete".to_owned(),
            Presence::Unclear => "unclear".to_owned(),
            Presence::Partial(present) => present.iter().map(|present| if *present { 'x' } else { '.' }).collect(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn masks_over_columns() {
        // A dot is null in the second column and absent in the third.
        check(&[0b0000_1111], "xxxx", "complete");
        check(&[0b0000_1111], "x..x", "complete");
        check(&[0b0000_0101], "x...", "x.x.");
        check(&[0b0000_1010], "x...", "x.x.");
        check(&[0b0000_0110], ".xx.", ".xx.");
        check(&[0x00, 0b0000_0101], "x.x.", "x.x.");
        check(&[0x00, 0xFF, 0xFF], "xxxxxxxxxxxxxxxx", "complete");
        check(&[0x00, 0x80, 0x80], "xxxxxxxxxxxxxxxx", "unclear");
        check(&[0b0000_0001], ".x..", "unclear");
        // Two starts fit and differ: either the first two columns or the second and third.
        check(&[0b0000_0110], ".x.", "unclear");
        check(&[0b0000_0110], ".x..", "unclear");
        check(&[0b0000_0110], "xx..", "xx..");
        // As many bits as columns, but not in a row.
        check(&[0b0001_0111], "x..x", "unclear");
        // More bits than columns.
        check(&[0xFF, 0xFF, 0xFF], "xxxxxxxx", "complete");
        check(&[0xFF, 0x0F], "x........x", "unclear");
        check(&[], "....", "....");
        check(&[], "x", "unclear");
        check(&[], "", "complete");
    }
}
