//! The cross-region envelope over samples that no dictionary was trained on, and over whatever may arrive.

use std::sync::LazyLock;

use events::cross_region::{
    self, DictionaryId, Encoding, Envelope, MAX_RAW_LEN, OpenError, dictionaries, missing_dictionaries, open, seal,
};
use events::{AttributeValue, Columns, DomainEvent, Entity, JsonText, Region, Timestamp};
use proptest::prelude::*;
use samples::Set;

static HELD_OUT: LazyLock<Vec<DomainEvent>> =
    LazyLock::new(|| Entity::ALL.into_iter().flat_map(|entity| samples::events(Set::HeldOut, entity, 300)).collect());

fn sealed(event: &DomainEvent) -> Envelope {
    let peer = if event.origin_region.as_str() == "us-west-2" { "us-east-1" } else { "us-west-2" };
    let now: Timestamp = "2026-05-01T12:00:00Z".parse().expect("valid");
    seal(event, &event.origin_region, &Region::new(peer).expect("valid"), now).expect("sealed")
}

/// What share is saved, in hundredths of a per cent.
fn saved(before: usize, after: usize) -> usize {
    10_000 - after * 10_000 / before
}

#[test]
fn a_dictionary_saves_65_per_cent_of_what_it_has_not_seen() {
    for entity in Entity::ALL {
        let live = HELD_OUT.iter().filter(|event| event.entity == entity && event.data.is_some());
        let (mut raw, mut payload, mut bare, mut whole) = (0, 0, 0, 0);
        for event in live {
            let envelope = sealed(event);
            assert_eq!(envelope.enc, Encoding::ZstdDictionary);
            let json = event.to_json();
            raw += json.len();
            payload += envelope.payload.len();
            whole += envelope.to_json().len();
            bare += Envelope { enc: Encoding::None, dict_id: None, payload: json, ..envelope }.to_json().len();
        }
        assert!(saved(raw, payload) >= 65_00, "{entity}: {} of the payload", saved(raw, payload));
        // The routing fields don't shrink.
        assert!(saved(bare, whole) >= 45_00, "{entity}: {} of the envelope", saved(bare, whole));
    }
}

#[test]
fn deletions_use_the_dictionary_too() {
    for event in HELD_OUT.iter().filter(|event| event.data.is_none()) {
        let envelope = sealed(event);
        assert_eq!(envelope.enc, Encoding::ZstdDictionary);
        assert!(saved(event.to_json().len(), envelope.payload.len()) >= 50_00, "{}", envelope.payload.len());
    }
}

#[test]
fn what_is_sealed_opens_in_a_program_with_the_same_dictionaries() {
    for event in HELD_OUT.iter() {
        let json = sealed(event).to_json();
        let envelope: Envelope = serde_json::from_str(&json).expect("an envelope");
        assert_eq!(missing_dictionaries(envelope.dict_id), [].into());
        assert_eq!(open(&envelope).expect("opened"), DomainEvent { hop: 1, ..event.clone() });
    }
}

#[test]
fn each_thread_makes_contexts_of_its_own() {
    let expected: Vec<String> = HELD_OUT.iter().map(|event| sealed(event).payload).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (event, payload) in HELD_OUT.iter().zip(&expected) {
                    let envelope = sealed(event);
                    assert_eq!(envelope.payload, *payload);
                    assert!(open(&envelope).is_ok());
                }
            });
        }
    });
}

/// Any columns in the place of a sample's.
fn with_columns(event: &DomainEvent, columns: &[(String, String)]) -> DomainEvent {
    let columns: Columns = columns.iter().map(|(name, value)| (name.clone(), AttributeValue::text(value))).collect();
    DomainEvent { data: Some(JsonText::of_columns(&columns)), ..event.clone() }
}

fn samples() -> impl Strategy<Value = DomainEvent> {
    (0..HELD_OUT.len()).prop_map(|place| HELD_OUT[place].clone())
}

/// One way in which an envelope can differ from what was sealed.
#[derive(Clone, Debug)]
enum Mutation {
    Encoding(Encoding),
    Dictionary(Option<DictionaryId>),
    RawLen(u64),
    Hash(String),
    Payload(String),
    PayloadByte(usize, u8),
    PayloadCut(usize),
    PayloadTwice,
    Routing(Box<DomainEvent>),
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let ids: Vec<DictionaryId> = dictionaries().iter().map(cross_region::Dictionary::id).collect();
    let encodings = prop_oneof![Just(Encoding::None), Just(Encoding::Zstd), Just(Encoding::ZstdDictionary)];
    let lengths = prop_oneof![
        0_u64..3000,
        Just(MAX_RAW_LEN as u64),
        (MAX_RAW_LEN as u64 - 5)..(MAX_RAW_LEN as u64 + 5),
        any::<u64>()
    ];
    prop_oneof![
        encodings.prop_map(Mutation::Encoding),
        proptest::option::of(proptest::sample::select(ids)).prop_map(Mutation::Dictionary),
        any::<[u8; 8]>().prop_map(|bytes| Mutation::Dictionary(Some(DictionaryId::of(&bytes)))),
        lengths.prop_map(Mutation::RawLen),
        ".{0,50}".prop_map(Mutation::Hash),
        ".{0,300}".prop_map(Mutation::Payload),
        // Most likely base64, so that zstd gets to see it.
        "([A-Za-z0-9+/]{4}){0,80}".prop_map(Mutation::Payload),
        // A frame's beginning as zstd writes it: its magic number, then anything.
        "KLUv/[A-Za-z0-9+/]{3}([A-Za-z0-9+/]{4}){0,80}".prop_map(Mutation::Payload),
        (any::<usize>(), any::<u8>()).prop_map(|(place, byte)| Mutation::PayloadByte(place, byte)),
        any::<usize>().prop_map(Mutation::PayloadCut),
        Just(Mutation::PayloadTwice),
        samples().prop_map(|other| Mutation::Routing(Box::new(other))),
    ]
}

fn mutate(envelope: &mut Envelope, mutation: Mutation) {
    match mutation {
        Mutation::Encoding(enc) => envelope.enc = enc,
        Mutation::Dictionary(id) => envelope.dict_id = id,
        Mutation::RawLen(raw_len) => envelope.raw_len = raw_len,
        Mutation::Hash(hash) => envelope.raw_sha256 = hash,
        Mutation::Payload(payload) => envelope.payload = payload,
        Mutation::PayloadByte(place, byte) => {
            let mut bytes = std::mem::take(&mut envelope.payload).into_bytes();
            if !bytes.is_empty() {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            envelope.payload = String::from_utf8_lossy(&bytes).into_owned();
        }
        Mutation::PayloadCut(place) => {
            let cut = place % (envelope.payload.chars().count() + 1);
            envelope.payload = envelope.payload.chars().take(cut).collect();
        }
        Mutation::PayloadTwice => envelope.payload = envelope.payload.repeat(2),
        Mutation::Routing(other) => {
            (envelope.event_id, envelope.event_type, envelope.key) = (other.event_id, other.event_type, other.key);
        }
    }
}

proptest! {
    #[test]
    fn opening_what_is_sealed_gives_the_same(
        event in samples(),
        columns in proptest::collection::vec((".{0,12}", ".{0,200}"), 0..12),
        repeat in 1_usize..40,
    ) {
        let columns: Vec<_> = columns.into_iter().map(|(name, value)| (name, value.repeat(repeat))).collect();
        let event = with_columns(&event, &columns);
        let envelope: Envelope = serde_json::from_str(&sealed(&event).to_json()).expect("an envelope");
        prop_assert_eq!(envelope.dict_id.is_some(), envelope.enc == Encoding::ZstdDictionary);
        if envelope.enc != Encoding::None {
            prop_assert!(envelope.payload.len() as u64 * 10 <= envelope.raw_len * 9);
        }
        let opened = open(&envelope).expect("opened");
        prop_assert_eq!(opened, DomainEvent { hop: 1, ..event });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever happens to an envelope on its way: the event comes out, or an error that fits.
    #[test]
    fn what_was_changed_is_refused(event in samples(), changes in proptest::collection::vec(mutations(), 1..4)) {
        let good = sealed(&event);
        let mut envelope = good.clone();
        for change in changes {
            mutate(&mut envelope, change);
        }
        match open(&envelope) {
            // base64 and zstd have more than one spelling of the same bytes, but the event is the one of the hash.
            Ok(opened) => {
                prop_assert_eq!(&envelope.raw_sha256, &good.raw_sha256);
                prop_assert_eq!(envelope.raw_len, good.raw_len);
                prop_assert_eq!(opened, DomainEvent { hop: 1, ..event });
            }
            Err(error) => {
                prop_assert_eq!(error.is_retryable(), matches!(error, OpenError::UnknownDictionary { .. }));
                if let OpenError::UnknownDictionary { dictionary } = error {
                    prop_assert_eq!(missing_dictionaries([dictionary]).len(), 1);
                }
                if envelope.raw_len > MAX_RAW_LEN as u64 {
                    let too_long = matches!(error, OpenError::TooLong { .. });
                    prop_assert!(too_long, "{}", error);
                }
            }
        }
    }

    /// Text that is no envelope is refused where it is read, and one that is gives an answer.
    #[test]
    fn any_json_is_handled(event in samples(), place in any::<usize>(), byte in any::<u8>()) {
        let mut json = sealed(&event).to_json().into_bytes();
        let place = place % json.len();
        json[place] = byte;
        if let Ok(envelope) = serde_json::from_slice::<Envelope>(&json) {
            let _ = open(&envelope);
        }
    }
}
