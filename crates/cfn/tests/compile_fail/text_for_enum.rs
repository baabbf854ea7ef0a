//! Text can't stand for an enum, not even the right word.

fn main() {
    cfn::kms::Key::new().key_usage("ENCRYPT_DECRYPT");
}
