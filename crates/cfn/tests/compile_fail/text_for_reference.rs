//! Text can't stand for a reference without saying so by `Value::assume`.

fn main() {
    cfn::sqs::Queue::new().kms_master_key_id("alias/orders");
}
