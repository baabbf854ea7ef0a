//! The alarm over what Route 53 sees of a region.
//!
//! Route 53 writes the metrics of health checks to us-east-1 and nowhere else (Route 53 developer guide, "Monitoring health
//! checks using CloudWatch"), so this alarm stands there and not in the region that it is about.

use cfn::Value;
use contracts::Region;

use super::alarm::{Alarm, Breach, Measure, Metric, Silence, Stat, When};
use super::failure::Failure;
use crate::constructs::Scope;

/// Adds the alarm for the health check `check` of `region`; it tells `topic`.
pub(crate) fn watch(scope: &mut Scope<'_>, region: &Region, check: &Value<String>, topic: &Value<String>) {
    // 1 while the region is healthy, else 0.
    let status = Metric::new("AWS/Route53", "HealthCheckStatus", [("HealthCheckId", check.clone())], Stat::Minimum);
    let alarm = Alarm {
        thing: region.to_string(),
        failure: Failure::RegionUnreachable,
        measure: Measure::Metric(status),
        breach: Breach::minutes(When::Below(1.0), 3, 3),
        // Checks never rest: without a value nobody knows whether clients reach the region.
        silence: Silence::Bad,
    };
    alarm.add(scope, topic);
}
