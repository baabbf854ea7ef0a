//! A stack over many services that AWS would take: no rule may object to it.

use cfn::prelude::*;
use cfn::{
    apigatewayv2, applicationautoscaling, certificatemanager, cloudwatch, ec2, ecr, eks, events, iam, lambda, logs,
    route53, s3, scheduler, secretsmanager, sns, ssm, wafv2,
};
use serde_json::json;

fn stack() -> Template {
    let mut stack = Template::new();
    network(&mut stack);
    api(&mut stack);
    operations(&mut stack);
    stack
}

fn trust(service: &str) -> serde_json::Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
    ]})
}

fn network(stack: &mut Template) {
    let vpc = stack.add("Vpc", ec2::VPC::new().cidr_block("10.0.0.0/16").enable_dns_hostnames(true));
    let gateway = stack.add("Gateway", ec2::InternetGateway::new());
    let attachment = stack
        .add("Attachment", ec2::VPCGatewayAttachment::new(vpc.reference()).internet_gateway_id(gateway.reference()));
    let routes = stack.add("Routes", ec2::RouteTable::new(vpc.reference()));
    let blocks = cfn::cidr("10.0.0.0/16", 3, 8);
    let subnets: Vec<_> = (0..3)
        .map(|index| {
            let subnet = ec2::Subnet::new(vpc.reference())
                .availability_zone(cfn::select(index, cfn::availability_zones()))
                .cidr_block(cfn::select(index, blocks.clone()));
            let subnet = stack.add(&format!("Subnet{index}"), subnet);
            stack.add(
                &format!("Subnet{index}Routes"),
                ec2::SubnetRouteTableAssociation::new(routes.reference(), subnet.reference()),
            );
            subnet.reference()
        })
        .collect();
    let address = stack.add("Address", ec2::EIP::new().domain("vpc").depends_on(&attachment));
    let nat = stack.add("Nat", ec2::NatGateway::new().subnet_id(&subnets[0]).allocation_id(address.allocation_id()));
    stack.add(
        "Outward",
        ec2::Route::new(routes.reference()).destination_cidr_block("0.0.0.0/0").nat_gateway_id(nat.reference()),
    );
    let group = stack.add(
        "Endpoints",
        ec2::SecurityGroup::new("interface endpoints").vpc_id(vpc.reference()).security_group_ingress([
            ec2::security_group::Ingress::new("tcp").from_port(443).to_port(443).cidr_ip("10.0.0.0/16"),
        ]),
    );
    stack.add(
        "QueueEndpoint",
        ec2::VPCEndpoint::new(vpc.reference())
            .service_name(cfn::sub("com.amazonaws.${AWS::Region}.sqs"))
            .vpc_endpoint_type(ec2::vpc_endpoint::VpcEndpointType::Interface)
            .security_group_ids([group.group_id()])
            .subnet_ids(&subnets),
    );
    let role = stack.add("ClusterRole", iam::Role::new(trust("eks.amazonaws.com")));
    let cluster = stack.add(
        "Cluster",
        eks::Cluster::new(eks::cluster::ResourcesVpcConfig::new(&subnets), role.arn()).name("example").version("1.34"),
    );
    let node_role = stack.add("NodeRole", iam::Role::new(trust("ec2.amazonaws.com")));
    stack.add(
        "Nodes",
        eks::Nodegroup::new(cluster.reference(), node_role.arn(), &subnets)
            .instance_types(["m7g.large"])
            .scaling_config(eks::nodegroup::ScalingConfig::new().min_size(3).max_size(9).desired_size(3))
            .tags([("team", "platform")]),
    );
    stack.add(
        "Consumer",
        eks::PodIdentityAssociation::new(cluster.reference(), "consumer", node_role.arn(), "consumer"),
    );
    stack.add("Images", ecr::Repository::new().repository_name("example/consumer").empty_on_delete(false).retain());
}

fn api(stack: &mut Template) {
    let role = stack.add("AuthorizerRole", iam::Role::new(trust("lambda.amazonaws.com")));
    let function = stack.add(
        "Authorizer",
        lambda::Function::new(lambda::function::Code::new().zip_file("exports.handler = 1"), role.arn())
            .handler("index.handler")
            .runtime(lambda::function::Runtime::Nodejs24X)
            .logging_config(
                lambda::function::LoggingConfig::new()
                    .log_format(lambda::function::LogFormat::Json)
                    .application_log_level(lambda::function::ApplicationLogLevel::Info),
            ),
    );
    let api =
        stack.add("Api", apigatewayv2::Api::new().name("example").protocol_type("HTTP").tags([("team", "platform")]));
    let authorizer = stack.add(
        "Jwt",
        apigatewayv2::Authorizer::new(api.reference(), "REQUEST", "jwt")
            .authorizer_uri(cfn::sub_with(
                "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${function}/invocations",
                [("function", function.arn())],
            ))
            .authorizer_payload_format_version("2.0")
            .enable_simple_responses(true),
    );
    stack.add(
        "Orders",
        apigatewayv2::Route::new(api.reference(), "GET /orders/{id}")
            .authorization_type("CUSTOM")
            .authorizer_id(authorizer.reference()),
    );
    let access = stack.add("AccessLogs", logs::LogGroup::new().log_group_name("/example/api").retention_in_days(30));
    stack.add(
        "Stage",
        apigatewayv2::Stage::new(api.reference(), "$default").auto_deploy(true).access_log_settings(
            apigatewayv2::stage::AccessLogSettings::new()
                .destination_arn(access.arn())
                .format("{\"requestId\":\"$context.requestId\"}"),
        ),
    );
    let zone = stack.add("Zone", route53::HostedZone::new().name("example.com"));
    let certificate = stack.add(
        "Certificate",
        certificatemanager::Certificate::new("api.example.com").validation_method("DNS").domain_validation_options([
            certificatemanager::certificate::DomainValidationOption::new()
                .domain_name("api.example.com")
                .hosted_zone_id(zone.reference()),
        ]),
    );
    let domain = stack.add(
        "Domain",
        apigatewayv2::DomainName::new("api.example.com").domain_name_configurations([
            apigatewayv2::domain_name::DomainNameConfiguration::new()
                .certificate_arn(certificate.reference())
                .endpoint_type("REGIONAL"),
        ]),
    );
    let health = stack.add(
        "Health",
        route53::HealthCheck::new(
            route53::health_check::HealthCheckConfig::new(route53::health_check::HealthCheckConfigType::Https)
                .fully_qualified_domain_name("api.example.com")
                .resource_path("/health")
                .port(443)
                .request_interval(10)
                .failure_threshold(3),
        ),
    );
    stack.add(
        "Record",
        route53::RecordSet::new("api.example.com", "A")
            .hosted_zone_id(zone.reference())
            .set_identifier(pseudo::region())
            .region(pseudo::region())
            .health_check_id(health.reference())
            .alias_target(route53::record_set::AliasTarget::new(
                domain.regional_domain_name(),
                domain.regional_hosted_zone_id(),
            )),
    );
    let visibility = || wafv2::web_acl::VisibilityConfig::new(true, "example", true);
    stack.add(
        "Firewall",
        wafv2::WebACL::new(
            wafv2::web_acl::DefaultAction::new().allow(wafv2::web_acl::AllowAction::new()),
            wafv2::web_acl::Scope::Regional,
            visibility(),
        )
        .rules([wafv2::web_acl::Rule::new(
            "rate",
            1,
            wafv2::web_acl::Statement::new().rate_based_statement(wafv2::web_acl::RateBasedStatement::new(
                wafv2::web_acl::AggregateKeyType::Ip,
                1000,
            )),
            visibility(),
        )
        .action(wafv2::web_acl::RuleAction::new().block(wafv2::web_acl::BlockAction::new()))]),
    );
}

fn operations(stack: &mut Template) {
    let topic = stack.add("Alarms", sns::Topic::new().topic_name("example-alarms"));
    stack.add("Mail", sns::Subscription::new("email", topic.reference()).endpoint("ops@example.com"));
    let alarm = stack.add(
        "Errors",
        cloudwatch::Alarm::new()
            .comparison_operator(cloudwatch::alarm::ComparisonOperator::GreaterThanThreshold)
            .evaluation_periods(3)
            .namespace("Example")
            .metric_name("Errors")
            .statistic(cloudwatch::alarm::Statistic::Sum)
            .period(60)
            .threshold(0.5)
            .treat_missing_data(cloudwatch::alarm::TreatMissingData::NotBreaching)
            .dimensions([cloudwatch::alarm::Dimension::new("Function", "router")])
            .alarm_actions([topic.reference()]),
    );
    stack.add(
        "Whole",
        cloudwatch::CompositeAlarm::new(cfn::sub_with("ALARM(\"${alarm}\")", [("alarm", alarm.reference())])),
    );
    stack.add("Board", cloudwatch::Dashboard::new("{\"widgets\":[]}").dashboard_name("example"));
    let secret = stack.add("Secret", secretsmanager::Secret::new().name("example/jwt").retain());
    stack.add(
        "SecretName",
        ssm::Parameter::new(ssm::parameter::ParameterType::String, secret.reference()).name("/example/secret"),
    );
    let bucket = stack.add(
        "Artifacts",
        s3::Bucket::new()
            .bucket_encryption(s3::bucket::BucketEncryption::new([s3::bucket::ServerSideEncryptionRule::new()
                .server_side_encryption_by_default(s3::bucket::ServerSideEncryptionByDefault::new(
                    s3::bucket::SSEAlgorithm::AwsKms,
                ))]))
            .versioning_configuration(s3::bucket::VersioningConfiguration::new(
                s3::bucket::VersioningConfigurationStatus::Enabled,
            ))
            .public_access_block_configuration(
                s3::bucket::PublicAccessBlockConfiguration::new().block_public_acls(true).restrict_public_buckets(true),
            )
            .retain(),
    );
    stack.add(
        "ArtifactsPolicy",
        s3::BucketPolicy::new(
            bucket.reference(),
            json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": [bucket.arn(), cfn::join("/", [bucket.arn().into(), Value::<String>::from("*")])],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }]}),
        ),
    );
    let role =
        stack.add("SchedulerRole", iam::Role::new(trust("scheduler.amazonaws.com")).role_name("example-scheduler"));
    let group = stack.add("Group", scheduler::ScheduleGroup::new().name("example"));
    stack.add(
        "EveryMinute",
        scheduler::Schedule::new(
            scheduler::schedule::FlexibleTimeWindow::new(scheduler::schedule::FlexibleTimeWindowMode::Off),
            "rate(1 minute)",
            scheduler::schedule::Target::new(topic.reference(), role.arn()),
        )
        .group_name(group.reference()),
    );
    let bus = stack.add("Bus", events::EventBus::new("example"));
    stack.add(
        "Archive",
        events::Archive::new(bus.arn())
            .archive_name("example")
            .retention_days(7)
            .event_pattern(json!({"account": ["000000000000"]})),
    );
    stack.add(
        "Capacity",
        applicationautoscaling::ScalableTarget::new(
            4,
            1,
            "table/example",
            applicationautoscaling::scalable_target::ScalableDimension::DynamodbTableReadCapacityUnits,
            applicationautoscaling::scalable_target::ServiceNamespace::Dynamodb,
        ),
    );
}

#[test]
fn no_rule_objects_to_a_sound_stack() {
    for region in ["us-west-2", "us-east-1"] {
        let violations = cfn::check(&stack(), region);
        assert!(violations.is_empty(), "{}", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}
