//! Damage to valid samples, in the ways in which input is damaged or forged: what is almost right reaches deeper into a
//! parser than what is made up.
//!
//! The parsers themselves are in `tests/fuzz`, each with the same tests. How many cases a property gets
//! is proptest's own setting, the variable `PROPTEST_CASES`.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Numbers that are too large for something, as texts.
const HUGE_NUMBERS: [&str; 8] = [
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "4294967296",
    "2147483648",
    "1e309",
    "-0",
    "123456789012345678901234567890123456789012345678901234567890",
];

/// The same as bytes: the lengths and counts of binary formats.
const HUGE_COUNTS: [&[u8]; 5] = [
    &[0xff; 8],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    // The largest and the smallest number that Avro can write.
    &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    // Avro's 16 Mi.
    &[0x80, 0x80, 0x80, 0x10],
];

/// What opens and closes something in JSON, TOML and rules.
const BRACKETS: [(&str, &str); 5] = [("[", "]"), ("{\"a\":", "}"), ("{", "}"), ("(", ")"), ("[[", "]]")];

/// One way to damage bytes. Places are counted by proportion, so they fit any length.
#[derive(Clone, Debug)]
pub enum Damage {
    /// What follows is gone.
    Cut(Index),
    /// One bit is another.
    Flip(Index, u8),
    /// One byte is another.
    Overwrite(Index, u8),
    /// A piece is gone.
    Remove(Index, Index),
    /// A piece is there twice.
    Double(Index, Index),
    /// Two pieces that follow each other are exchanged.
    Swap(Index, Index, Index),
    /// The next number is another.
    Number(Index, &'static str),
    /// Such bytes stand where others did.
    Count(Index, &'static [u8]),
    /// So many of these are put around the rest.
    Nest(Index, (&'static str, &'static str), usize),
    /// So many letters are put in.
    Lengthen(Index, usize),
}

impl Damage {
    /// Damages these bytes.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index, bytes: &Vec<u8>| index.index(bytes.len() + 1);
        let piece = |a: &Index, b: &Index, bytes: &Vec<u8>| {
            let (a, b) = (place(a, bytes), place(b, bytes));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
            Self::Flip(at, bit) => {
                let at = place(at, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Overwrite(at, new) => {
                let at = place(at, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *new;
                }
            }
            Self::Remove(a, b) => drop(bytes.drain(piece(a, b, bytes))),
            Self::Double(a, b) => {
                let piece = piece(a, b, bytes);
                let copy = bytes[piece.clone()].to_vec();
                bytes.splice(piece.start..piece.start, copy);
            }
            Self::Swap(a, b, middle) => {
                let piece = piece(a, b, bytes);
                let middle = middle.index(piece.len() + 1);
                bytes[piece].rotate_left(middle);
            }
            Self::Number(at, text) => {
                let from = place(at, bytes);
                if let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|start| from + start) {
                    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(start..start + length, text.bytes());
                }
            }
            Self::Count(at, count) => {
                let start = place(at, bytes);
                let end = bytes.len().min(start + 1);
                bytes.splice(start..end, count.iter().copied());
            }
            Self::Nest(at, (open, close), depth) => {
                let start = place(at, bytes);
                bytes.extend(close.repeat(*depth).bytes());
                bytes.splice(start..start, open.repeat(*depth).bytes());
            }
            Self::Lengthen(at, count) => {
                let start = place(at, bytes);
                bytes.splice(start..start, std::iter::repeat_n(b'a', *count));
            }
        }
    }
}

/// Any one damage.
pub fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Damage::Cut),
        (index(), any::<u8>()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (index(), any::<u8>()).prop_map(|(at, new)| Damage::Overwrite(at, new)),
        (index(), index()).prop_map(|(a, b)| Damage::Remove(a, b)),
        (index(), index()).prop_map(|(a, b)| Damage::Double(a, b)),
        (index(), index(), index()).prop_map(|(a, b, middle)| Damage::Swap(a, b, middle)),
        (index(), select(&HUGE_NUMBERS[..])).prop_map(|(at, text)| Damage::Number(at, text)),
        (index(), select(&HUGE_COUNTS[..])).prop_map(|(at, count)| Damage::Count(at, count)),
        (index(), select(&BRACKETS[..]), select(vec![1_usize, 40, 200, 20_000]))
            .prop_map(|(at, brackets, depth)| Damage::Nest(at, brackets, depth)),
        (index(), select(vec![1_usize, 300, 70_000])).prop_map(|(at, count)| Damage::Lengthen(at, count)),
    ]
}

/// One of these samples, damaged in one to three ways.
///
/// # Panics
/// When there is no sample.
pub fn damaged(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(samples), prop::collection::vec(damage(), 1..4)).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        bytes
    })
}

/// A damaged sample as text: what is no UTF-8 any more is replaced as a decoder does.
pub fn damaged_text(sample: &str) -> impl Strategy<Value = String> + use<> {
    damaged(vec![sample.as_bytes().to_vec()]).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Any bytes, any text, and the signs of JSON and of numbers in any order.
pub fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let sign = select(vec![
        "{", "}", "[", "]", "\"", ":", ",", "\\", "\\ud800", "null", "true", "0", "-1", "1e999", "\"\"", "\"a\"", " ",
        "\n", ".", "=", "#", "'", "%", "\0",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        ".{0,200}".prop_map(String::into_bytes),
        prop::collection::vec(sign, 0..60).prop_map(|signs| signs.concat().into_bytes()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes after a damage at places that stand for 0, a third and two thirds.
    fn check(damage: impl Fn([Index; 3]) -> Damage, before: &str, after: &str) {
        use proptest::strategy::ValueTree;
        use proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let length = before.len();
        let mut at = |wanted: usize| loop {
            let index = any::<Index>().new_tree(&mut runner).expect("an index").current();
            if index.index(length + 1) == wanted {
                return index;
            }
        };
        let places = [at(0), at(length / 3), at(length * 2 / 3)];
        let mut bytes = before.as_bytes().to_vec();
        damage(places).apply(&mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes), after);
    }

    #[test]
    fn each_damage_is_what_it_says() {
        check(|[_, at, _]| Damage::Cut(at), "abcdef", "ab");
        check(|[at, ..]| Damage::Flip(at, 1), "abcdef", "cbcdef");
        check(|[at, ..]| Damage::Overwrite(at, b'x'), "abcdef", "xbcdef");
        check(|[_, a, b]| Damage::Remove(b, a), "abcdef", "abef");
        check(|[_, a, b]| Damage::Double(a, b), "abcdef", "abcdcdef");
        check(|[a, m, b]| Damage::Swap(a, b, m), "abcdef", "bcdaef");
        check(|[at, ..]| Damage::Number(at, "1e309"), "{\"a\":12}", "{\"a\":1e309}");
        check(|[at, ..]| Damage::Number(at, "1e309"), "none", "none");
        check(|[_, at, _]| Damage::Count(at, b"##"), "abcdef", "ab##def");
        check(|[_, at, _]| Damage::Nest(at, ("[", "]"), 2), "abcdef", "ab[[cdef]]");
        check(|[_, at, _]| Damage::Lengthen(at, 2), "abcdef", "abaacdef");
    }

    proptest! {
        /// Also of nothing, and of what was damaged before.
        #[test]
        fn any_bytes_can_be_damaged(mut bytes in any_bytes(), damages in prop::collection::vec(damage(), 1..9)) {
            damages.iter().for_each(|damage| damage.apply(&mut bytes));
        }
    }
}
