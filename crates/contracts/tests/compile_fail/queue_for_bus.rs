use contracts::{Bound, StreamProcessorBinding, StreamProcessorSettings, resource};

fn main() {
    let queue: Bound<String, resource::Queue, resource::Send> = Bound::new("Queue", "https://queue".to_owned(), Vec::new());
    let _ = StreamProcessorBinding::<String> {
        bus: queue,
        dead_letters: Bound::new("Queue", "https://queue".to_owned(), Vec::new()),
        settings: StreamProcessorSettings::default(),
    };
}
