//! Which addresses spoke with which: kept for as long as other logs, encrypted.

use cfn::ec2::flow_log::{LogDestinationType, ResourceType, TrafficType};
use cfn::ec2::{FlowLog, VPC};
use cfn::{Handle, Value, logs};

use super::name_tag;
use crate::constructs::policy::Statement;
use crate::constructs::{Scope, key, role, stateful};

/// Adds the log group, the role that writes it, and the flow log of the whole VPC.
pub(super) fn add(scope: &mut Scope<'_>, vpc: &Handle<VPC>) {
    let key = key::of_region(scope, "KeyArn", scope.region);
    let name = format!("/tandem/{}/network", scope.environment.environment_name());
    let retention = scope.environment.logs().retention.days();
    let group = logs::LogGroup::new().log_group_name(name).retention_in_days(retention).kms_key_id(&key);
    let group = scope.add("FlowLogGroup", stateful(group));

    let arn: Value<String> = group.arn().into();
    let write =
        Statement::allow("Write", ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [arn])
            .because("VPC flow logs write one stream for each network interface");
    let find =
        Statement::allow("FindGroup", ["logs:DescribeLogGroups"], [scope.arn_in(scope.region, "logs", "log-group:*")])
            .open_because("VPC flow logs look for their group by its name, which only a list of all groups answers");
    let trust = role::trust_service("FlowLogs", "vpc-flow-logs.amazonaws.com").when(
        "ArnLike",
        "aws:SourceArn",
        scope.arn_in(scope.region, "ec2", "vpc-flow-log/*").into_inner(),
    );
    let role_name = format!("{}-{}", scope.environment.name("flow-logs"), scope.region);
    let description = format!("writes the flow log of the VPC in {}", scope.region);
    let role = role::draft([trust], "flow-logs", [write, find])
        .with(|role| role.role_name(role_name).description(description))
        .add(scope, "FlowLogRole");

    let flow_log = FlowLog::new(vpc.reference(), ResourceType::Vpc)
        .traffic_type(TrafficType::All)
        .log_destination_type(LogDestinationType::CloudWatchLogs)
        .log_group_name(group.reference())
        .deliver_logs_permission_arn(role.arn())
        // One minute instead of ten: somebody who looks during an incident looks at now.
        .max_aggregation_interval(60)
        .tags(name_tag(scope, "network"));
    scope.add("FlowLog", flow_log);
}
