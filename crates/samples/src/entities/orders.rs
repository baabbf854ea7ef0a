//! Orders: who bought what for how much, and where it is.

use events::Timestamp;

use super::{Row, columns, earlier, money, number, or_null, text};
use crate::random::{CODE, DIGITS, Random};
use crate::vocabulary::{Vocabulary, sentence};

const STATUSES: [&str; 7] = ["paid", "shipped", "delivered", "placed", "packed", "cancelled", "returned"];
const CHANNELS: [&str; 4] = ["web", "app_ios", "app_android", "phone"];
const METHODS: [&str; 4] = ["card", "wallet", "bank_transfer", "invoice"];
const CARRIERS: [&str; 4] = ["ground", "express", "locker", "freight"];
const WAREHOUSES: [&str; 5] = ["PDX-1", "RNO-2", "CMH-1", "DFW-3", "ATL-2"];

pub(super) fn row(at: Timestamp, vocabulary: &Vocabulary, random: &mut Random) -> Row {
    let id = format!("SO-{}", random.between(20_000_000, 49_999_999));
    let subtotal = random.between(499, 60_000);
    let discount = if random.percent(30) { subtotal / 10 } else { 0 };
    let shipping = *random.pick_early(&[0, 499, 799, 1299]);
    let tax = (subtotal - discount) * 8 / 100;
    let tracking = or_null(random, 60, |random| text(format!("1T{}", random.text(DIGITS, 14))));
    let columns = columns([
        ("order_id", text(&id)),
        ("customer_id", number(random.between(1_000_000, 4_800_000))),
        ("status", text(*random.pick_early(&STATUSES))),
        ("channel", text(*random.pick_early(&CHANNELS))),
        ("currency", text("USD")),
        ("line_count", number(random.between(1, 9))),
        ("subtotal", money(subtotal)),
        ("discount", money(discount)),
        ("shipping_fee", money(shipping)),
        ("tax", money(tax)),
        ("total", money(subtotal - discount + shipping + tax)),
        ("coupon_code", or_null(random, 25, |random| text(random.text(CODE, 8)))),
        ("payment_method", text(*random.pick_early(&METHODS))),
        ("payment_reference", text(random.text(CODE, 16))),
        ("shipping_method", text(*random.pick_early(&CARRIERS))),
        ("tracking_number", tracking),
        ("warehouse", text(*random.pick_early(&WAREHOUSES))),
        (
            "ship_to_name",
            text(format!(
                "{} {}",
                random.pick_early(&vocabulary.given_names),
                random.pick_early(&vocabulary.family_names)
            )),
        ),
        ("ship_to_city", text(random.pick_early(&vocabulary.towns))),
        ("ship_to_postal_code", text(random.text(DIGITS, 5))),
        (
            "customer_note",
            or_null(random, 30, |random| {
                let words = random.between(4, 10);
                text(sentence(random, vocabulary, words))
            }),
        ),
        ("ordered_at", earlier(at, 21, random)),
        ("updated_at", text(at.to_string())),
    ]);
    Row { key: id, columns }
}
