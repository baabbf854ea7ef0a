//! Products: what it is called, what it costs, and how many there are.

use events::{AttributeValue, Timestamp};

use super::{Row, columns, earlier, money, number, or_null, text};
use crate::random::{CODE, DIGITS, Random};
use crate::vocabulary::{Vocabulary, sentence};

const CATEGORIES: [&str; 10] = [
    "Home & Kitchen",
    "Electronics",
    "Garden & Outdoor",
    "Sports",
    "Office",
    "Toys & Games",
    "Clothing",
    "Beauty",
    "Tools",
    "Pet Supplies",
];
const STATUSES: [&str; 4] = ["active", "out_of_stock", "discontinued", "draft"];
const COLOURS: [&str; 8] = ["black", "white", "grey", "navy", "red", "green", "natural", "silver"];
const TAX_CLASSES: [&str; 3] = ["standard", "reduced", "exempt"];

pub(super) fn row(at: Timestamp, vocabulary: &Vocabulary, random: &mut Random) -> Row {
    let brand = random.pick_early(&vocabulary.brands).clone();
    let model = random.pick(&vocabulary.models).clone();
    let id = format!("{}-{}", &random.text(CODE, 3), random.text(DIGITS, 6));
    let price = random.between(3, 900) * 100 - if random.percent(70) { 1 } else { 0 };
    let words = random.between(10, 18);
    let columns = columns([
        ("product_id", text(&id)),
        ("sku", text(format!("{}-{}", random.text(CODE, 4), random.text(CODE, 4)))),
        ("barcode", text(format!("00{}", random.text(DIGITS, 11)))),
        ("name", text(format!("{brand} {model} {}", random.between(1, 40) * 10))),
        ("brand", text(brand)),
        ("description", text(sentence(random, vocabulary, words))),
        ("category", text(*random.pick_early(&CATEGORIES))),
        ("colour", or_null(random, 70, |random| text(*random.pick(&COLOURS)))),
        ("status", text(*random.pick_early(&STATUSES))),
        ("currency", text("USD")),
        ("list_price", money(price + price / 5)),
        ("price", money(price)),
        ("tax_class", text(*random.pick_early(&TAX_CLASSES))),
        ("stock", number(random.below(2500))),
        ("reorder_level", number(random.between(1, 20) * 10)),
        ("weight_grams", number(random.between(20, 18_000))),
        ("length_mm", number(random.between(20, 1800))),
        ("width_mm", number(random.between(20, 900))),
        ("height_mm", number(random.between(5, 900))),
        ("supplier_id", number(random.between(100, 899))),
        ("returnable", AttributeValue::Bool(random.percent(90))),
        ("created_at", earlier(at, 1500, random)),
        ("updated_at", text(at.to_string())),
    ]);
    Row { key: id, columns }
}
