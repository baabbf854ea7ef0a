//! A word that is not among the accepted ones can't be given.

use cfn::dynamodb::global_table::BillingMode;

fn main() {
    let _ = BillingMode::Free;
}
