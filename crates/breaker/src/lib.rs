//! Circuit breaker and parking.

mod decide;
mod outcome;
mod parking;
mod settings;
mod shared;
mod time;
mod transition;
mod window;

pub use decide::{Admission, Bounds, GiveBack, Turn};
pub use outcome::{CallError, Counts, Outcome};
pub use parking::{
    ClearFlag, DeleteEvent, EventKey, FollowUp, InvalidPark, InvalidPosition, KeyDrain, KeyFlag, KeyStep, ParkAnswer,
    ParkWrite, ParkedEvent, Position, Ramp, Stamp, Stamps,
};
pub use settings::{InvalidSettings, Jitter, Mistake, Settings, Thresholds};
pub use shared::{Lease, Lot, Owner, Reason, Route, Shared, Snapshot, State, StateName, Survey, Transition};
pub use time::Millis;
pub use transition::{Command, Condition, EmptyCheck, ProbeResult, Step, Write};
pub use window::{Trip, TripRule, Window};
