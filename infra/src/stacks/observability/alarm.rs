//! One alarm as a value, and how it becomes a resource.

use std::time::Duration;

use cfn::cloudwatch::alarm::{
    ComparisonOperator, Dimension, Metric as CfnMetric, MetricDataQuery, MetricStat, Statistic, TreatMissingData,
};
use cfn::{Handle, Value, cloudwatch};

use super::failure::{self, Failure};
use crate::constructs::Scope;
use crate::constructs::policy::pascal_case;
use crate::constructs::queue::whole_seconds;
use crate::environment::Environment;

/// An alarm.
pub(super) struct Alarm {
    /// What fails, without system and environment: `event-router`.
    pub(super) thing: String,
    /// How it fails.
    pub(super) failure: Failure,
    /// What is measured.
    pub(super) measure: Measure,
    /// Which values are bad, and how many of them.
    pub(super) breach: Breach,
    /// What it means when nothing is measured.
    pub(super) silence: Silence,
}

/// What an alarm looks at.
pub(super) enum Measure {
    /// One metric.
    Metric(Metric),
    /// A formula over metrics, each with the name that the formula uses.
    Formula(&'static str, Vec<(&'static str, Metric)>),
    /// A query of CloudWatch Metrics Insights, where some dimension's values aren't known beforehand.
    Query(String),
}

/// A metric of CloudWatch.
#[derive(Clone)]
pub(super) struct Metric {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) dimensions: Vec<(&'static str, Value<String>)>,
    pub(super) statistic: Stat,
}

/// How a period's values become one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stat {
    Sum,
    Average,
    Minimum,
    Maximum,
    P99,
}

impl Stat {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::Average => "Average",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::P99 => "p99",
        }
    }
}

/// Which values are bad: so many of the last so many periods.
#[derive(Clone, Copy)]
pub(super) struct Breach {
    pub(super) when: When,
    pub(super) period: Duration,
    pub(super) bad: u32,
    pub(super) of: u32,
}

/// When one value is bad.
#[derive(Clone, Copy)]
pub(super) enum When {
    Above(f64),
    AtLeast(f64),
    Below(f64),
}

/// What a period without a value means.
#[derive(Clone, Copy)]
pub(super) enum Silence {
    /// Nothing happened, so nothing failed.
    Good,
    /// Something must happen in each period.
    Bad,
    /// The state stays: another alarm tells of the silence.
    SaysNothing,
}

impl Breach {
    /// `bad` of the last `of` minutes.
    pub(super) fn minutes(when: When, bad: u32, of: u32) -> Self {
        Self { when, period: Duration::from_secs(60), bad, of }
    }

    /// `count` periods of five minutes, one after the other.
    pub(super) fn five_minutes(when: When, count: u32) -> Self {
        Self { when, period: Duration::from_secs(300), bad: count, of: count }
    }
}

impl Metric {
    /// A metric of an AWS service, or of the programs.
    pub(super) fn new<V: Into<Value<String>>>(
        namespace: &'static str,
        name: &'static str,
        dimensions: impl IntoIterator<Item = (&'static str, V)>,
        statistic: Stat,
    ) -> Self {
        let dimensions = dimensions.into_iter().map(|(name, value)| (name, value.into())).collect();
        Self { namespace, name, dimensions, statistic }
    }

    fn dimensions(&self) -> Vec<Dimension> {
        self.dimensions.iter().map(|(name, value)| Dimension::new(*name, value.clone())).collect()
    }

    fn to_query(&self, id: &str, period: i64) -> MetricDataQuery {
        let metric = CfnMetric::new().namespace(self.namespace).metric_name(self.name).dimensions(self.dimensions());
        MetricDataQuery::new(id)
            .metric_stat(MetricStat::new(metric, period, self.statistic.as_str()))
            .return_data(false)
    }
}

impl Alarm {
    /// The alarm's name: `tandem-<environment>-<thing>-<failure>`.
    pub(super) fn name(&self, environment: &Environment) -> String {
        environment.name(&format!("{}-{}", self.thing, self.failure.name()))
    }

    fn logical_id(&self) -> String {
        format!("{}{}", pascal_case(&self.thing), pascal_case(self.failure.name()))
    }

    /// Adds the alarm; it tells `topic` when it begins and when it ends.
    pub(super) fn add(&self, scope: &mut Scope<'_>, topic: &Value<String>) -> Handle<cloudwatch::Alarm> {
        let Breach { when, period, bad, of } = self.breach;
        let (comparison, threshold) = match when {
            When::Above(threshold) => (ComparisonOperator::GreaterThanThreshold, threshold),
            When::AtLeast(threshold) => (ComparisonOperator::GreaterThanOrEqualToThreshold, threshold),
            When::Below(threshold) => (ComparisonOperator::LessThanThreshold, threshold),
        };
        let missing = match self.silence {
            Silence::Good => TreatMissingData::NotBreaching,
            Silence::Bad => TreatMissingData::Breaching,
            Silence::SaysNothing => TreatMissingData::Ignore,
        };
        let runbooks = &scope.environment.alarms().runbooks;
        let description =
            failure::describe(self.failure.severity(), self.failure.meaning(), runbooks, self.failure.name());
        let alarm = cloudwatch::Alarm::new()
            .alarm_name(self.name(scope.environment))
            .alarm_description(description)
            .comparison_operator(comparison)
            .threshold(threshold)
            .datapoints_to_alarm(bad)
            .evaluation_periods(of)
            .treat_missing_data(missing)
            .alarm_actions([topic.clone()])
            .ok_actions([topic.clone()]);
        let alarm = self.measure.set(alarm, whole_seconds(period));
        scope.add(&self.logical_id(), alarm)
    }
}

impl Measure {
    fn set(&self, alarm: cloudwatch::Alarm, period: i64) -> cloudwatch::Alarm {
        match self {
            Self::Metric(metric) => {
                let mut alarm = alarm.namespace(metric.namespace).metric_name(metric.name).period(period);
                // A list that is there must not be empty.
                if !metric.dimensions.is_empty() {
                    alarm = alarm.dimensions(metric.dimensions());
                }
                match metric.statistic {
                    Stat::Sum => alarm.statistic(Statistic::Sum),
                    Stat::Average => alarm.statistic(Statistic::Average),
                    Stat::Minimum => alarm.statistic(Statistic::Minimum),
                    Stat::Maximum => alarm.statistic(Statistic::Maximum),
                    Stat::P99 => alarm.extended_statistic(Stat::P99.as_str()),
                }
            }
            Self::Formula(formula, metrics) => {
                let result = MetricDataQuery::new("result").expression(*formula).return_data(true);
                let metrics = metrics.iter().map(|(id, metric)| metric.to_query(id, period));
                alarm.metrics([result].into_iter().chain(metrics))
            }
            Self::Query(query) => {
                alarm.metrics([MetricDataQuery::new("result").expression(query).period(period).return_data(true)])
            }
        }
    }
}
