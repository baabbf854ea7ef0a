//! Customers: people with an address, a way to reach them and a standing.

use events::{AttributeValue, Timestamp};

use super::{Row, columns, earlier, money, number, or_null, text};
use crate::random::{DIGITS, HEX, Random};
use crate::vocabulary::{Vocabulary, sentence};

const STATES: [&str; 20] = [
    "CA", "TX", "FL", "NY", "PA", "IL", "OH", "GA", "NC", "MI", "WA", "OR", "NJ", "VA", "AZ", "MA", "TN", "IN", "MO",
    "CO",
];
const KINDS: [&str; 5] = ["Street", "Avenue", "Road", "Lane", "Boulevard"];
const STATUSES: [&str; 4] = ["active", "dormant", "blocked", "pending_verification"];
const TIERS: [&str; 4] = ["standard", "silver", "gold", "platinum"];
const HOSTS: [&str; 4] = ["example.com", "mail.example.net", "example.org", "post.example"];

pub(super) fn row(at: Timestamp, vocabulary: &Vocabulary, random: &mut Random) -> Row {
    let id = random.between(1_000_000, 4_800_000);
    let given = random.pick_early(&vocabulary.given_names).clone();
    let family = random.pick_early(&vocabulary.family_names).clone();
    let email = format!(
        "{}.{}{}@{}",
        given.to_lowercase(),
        family.to_lowercase(),
        if random.percent(40) { random.below(100).to_string() } else { String::new() },
        random.pick_early(&HOSTS),
    );
    let groups = [8, 4, 4, 4, 12].map(|length| random.text(HEX, length));
    let street =
        format!("{} {} {}", random.between(1, 9999), random.pick(&vocabulary.streets), random.pick_early(&KINDS));
    let phone = format!("+1 {} 555 01{}", random.between(201, 989), random.text(DIGITS, 2));
    let columns = columns([
        ("customer_id", number(id)),
        ("external_id", text(groups.join("-"))),
        ("first_name", text(given)),
        ("last_name", text(family)),
        ("email", text(email)),
        ("email_verified", AttributeValue::Bool(random.percent(85))),
        ("phone", text(phone)),
        ("address_line1", text(street)),
        ("address_line2", or_null(random, 20, |random| text(format!("Apt {}", random.between(1, 400))))),
        ("city", text(random.pick_early(&vocabulary.towns))),
        ("state", text(*random.pick_early(&STATES))),
        ("postal_code", text(random.text(DIGITS, 5))),
        ("country", text("US")),
        ("status", text(*random.pick_early(&STATUSES))),
        ("loyalty_tier", text(*random.pick_early(&TIERS))),
        ("credit_limit", money(random.between(5, 200) * 5000)),
        ("balance", money(random.below(90_000))),
        ("marketing_consent", AttributeValue::Bool(random.percent(60))),
        (
            "notes",
            or_null(random, 25, |random| {
                let words = random.between(4, 9);
                text(sentence(random, vocabulary, words))
            }),
        ),
        ("created_at", earlier(at, 2000, random)),
        ("updated_at", text(at.to_string())),
    ]);
    Row { key: id.to_string(), columns }
}
