use contracts::{Bound, StreamProcessorBinding, StreamProcessorSettings};

fn main() {
    let _ = StreamProcessorBinding::<String> {
        bus: Bound::new("Bus", "bus".to_owned(), Vec::new()),
        settings: StreamProcessorSettings::default(),
    };
}
