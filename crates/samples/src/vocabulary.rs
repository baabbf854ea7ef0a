//! Names that nobody has, and the words that everybody uses.

use crate::random::Random;

/// The names of one set of samples.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) given_names: Vec<String>,
    pub(crate) family_names: Vec<String>,
    pub(crate) streets: Vec<String>,
    pub(crate) towns: Vec<String>,
    pub(crate) brands: Vec<String>,
    pub(crate) models: Vec<String>,
    /// The same in every set.
    words: Vec<&'static str>,
}

impl Vocabulary {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut names = |count: usize, syllables: u32, ends: &[&str]| -> Vec<String> {
            (0..count).map(|_| name(random, syllables, ends)).collect()
        };
        Self {
            given_names: names(300, 2, &["", "", "a", "n", "o", "el", "is"]),
            family_names: names(900, 2, &["", "er", "son", "ström", "ez", "ski", "man", "ley"]),
            streets: names(500, 2, &["", "wood", "field", "ton", "brook", "view"]),
            towns: names(250, 2, &["", "ville", "burg", "port", " City", " Falls", "ford"]),
            brands: names(40, 2, &["", "ex", "ia", "co"]),
            models: names(400, 2, &["", "o", "ix", "on"]),
            words: WORDS.split_ascii_whitespace().collect(),
        }
    }
}

/// Words of product texts and notes.
const WORDS: &str = "the and for with from order customer delivery please call before after call door back new address \
    asked about refund return size large small light heavy water resistant steel cotton oak glass matte \
    black white blue green handle cover set of two four pack spare parts included easy to clean machine \
    washable not dishwasher safe made recycled material adjustable folding compact travel indoor outdoor \
    use only keep dry cable charger battery lasts hours per charge warranty years replaced by support \
    ticket number billing monthly invoice paper prefers email contact morning evening weekend gift \
    wrapped message confirmed";

/// A made-up name with a capital letter.
fn name(random: &mut Random, syllables: u32, ends: &[&str]) -> String {
    const STARTS: [&str; 24] = [
        "b", "br", "c", "ch", "d", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "qu", "r", "s", "st", "t", "tr",
        "v", "w", "z",
    ];
    const MIDDLES: [&str; 11] = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "ar", "el", "in"];
    const CLOSES: [&str; 10] = ["", "", "", "l", "n", "r", "s", "t", "nd", "ck"];
    let mut text = String::new();
    for _ in 0..random.between(syllables, syllables + 1) {
        text += *random.pick(&STARTS);
        text += *random.pick(&MIDDLES);
        text += *random.pick(&CLOSES);
    }
    text += *random.pick(ends);
    // All starts are ASCII.
    text[..1].make_ascii_uppercase();
    text
}

/// So many words in a row; one in eight is a name, as models and people turn up in texts.
pub(crate) fn sentence(random: &mut Random, vocabulary: &Vocabulary, words: u32) -> String {
    let words: Vec<&str> = (0..words)
        .map(|_| {
            if random.percent(12) {
                random.pick(&vocabulary.models).as_str()
            } else {
                random.pick_early(&vocabulary.words)
            }
        })
        .collect();
    words.join(" ")
}
