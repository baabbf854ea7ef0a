use contracts::{Bound, resource};

fn main() {
    let _: Bound<String, resource::Table, resource::Publish> = Bound::new("Table", "table".to_owned(), Vec::new());
}
