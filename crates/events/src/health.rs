//! What tells of health on a bus.

/// EventBridge's `Source` of canaries and of the health checker's verdicts.
pub const SOURCE: &str = "tandem.health";
