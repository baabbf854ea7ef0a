use contracts::{Bound, resource};

fn write(_: Bound<String, resource::Table, resource::Write>) {}

fn main() {
    let queue: Bound<String, resource::Queue, resource::Send> = Bound::new("Queue", "https://queue".to_owned(), Vec::new());
    write(queue);
}
