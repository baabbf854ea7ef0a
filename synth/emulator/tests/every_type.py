"""One resource of every type that the project's stacks may use, as one template.

The resources refer to each other as the stacks do, so that a `Ref` or an attribute of the wrong
shape shows up where it is used.
"""

from __future__ import annotations

import json
from typing import Any

from support import (
    ACCOUNT,
    HOME,
    PACKAGE_FOLDER,
    PEER,
    allow,
    attribute,
    document,
    function,
    queue,
    queue_policy,
    read_stream,
    reference,
    role,
    stream_table,
    table_keys,
    trust,
)

SCHEMAS = PACKAGE_FOLDER.parent.parent / "crates" / "cfn" / "schemas"

Resource = dict[str, Any]
Resources = dict[str, Resource]


def types() -> list[str]:
    """The types that the project generates code for."""
    lines = (SCHEMAS / "types.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def attributes_of_type(resource_type: str) -> list[str]:
    """What `Fn::GetAtt` may read of a type, by AWS's schema; nested attributes are left out."""
    paths = schema_of(resource_type).get("readOnlyProperties", [])
    names = [path.removeprefix("/properties/") for path in paths]
    return [name for name in names if "/" not in name]


def list_attributes(resource_type: str) -> set[str]:
    properties = schema_of(resource_type)["properties"]
    return {name for name, schema in properties.items() if schema.get("type") == "array"}


def schema_of(resource_type: str) -> dict[str, Any]:
    file = SCHEMAS / f"{resource_type.replace('::', '-').lower()}.json"
    return json.loads(file.read_text())


def every_type(name: str, primary_key_arn: str, code: dict[str, str]) -> Resources:
    """The resources; `name` makes the named ones unique, the key lives in the other region."""
    parts = (
        storage(name, primary_key_arn),
        identity(name),
        functions(name, code),
        messaging(name),
        http_api(name),
        network(),
        cluster(name),
        observability(name),
        routing(name),
    )
    return {logical_id: resource for part in parts for logical_id, resource in part.items()}


def resource(resource_type: str, **properties: Any) -> Resource:
    return {"Type": resource_type, "Properties": properties}


def whole_account(service: str = "kms") -> dict[str, Any]:
    owner = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    return document({**allow(f"{service}:*", "*"), "Principal": owner})


def storage(name: str, primary_key_arn: str) -> Resources:
    replica = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
    return {
        "Key": resource("AWS::KMS::Key", KeyPolicy=whole_account(), MultiRegion=True),
        "KeyAlias": resource(
            "AWS::KMS::Alias", AliasName=f"alias/{name}", TargetKeyId=reference("Key")
        ),
        "ReplicaKey": resource(
            "AWS::KMS::ReplicaKey", PrimaryKeyArn=primary_key_arn, KeyPolicy=whole_account()
        ),
        "Table": stream_table(
            TableName=f"{name}-table",
            TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True},
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            SSESpecification={
                "SSEEnabled": True,
                "SSEType": "KMS",
                "KMSMasterKeyId": attribute("Key", "Arn"),
            },
            DeletionProtectionEnabled=False,
            Tags=[{"Key": "owner", "Value": "test"}],
        ),
        "GlobalTable": resource(
            "AWS::DynamoDB::GlobalTable",
            **table_keys(),
            TableName=f"{name}-authority",
            MultiRegionConsistency="STRONG",
            GlobalTableWitnesses=[{"Region": "us-east-2"}],
            Replicas=[{"Region": HOME, **replica}, {"Region": PEER, **replica}],
        ),
        "Bucket": resource(
            "AWS::S3::Bucket",
            BucketName=f"{name}-bucket",
            LifecycleConfiguration={
                "Rules": [
                    {
                        "Id": "old",
                        "Status": "Enabled",
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    }
                ]
            },
            VersioningConfiguration={"Status": "Enabled"},
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            BucketEncryption={
                "ServerSideEncryptionConfiguration": [
                    {
                        "BucketKeyEnabled": True,
                        "ServerSideEncryptionByDefault": {
                            "SSEAlgorithm": "aws:kms",
                            "KMSMasterKeyID": attribute("Key", "Arn"),
                        },
                    }
                ]
            },
        ),
        "BucketPolicy": resource(
            "AWS::S3::BucketPolicy",
            Bucket=reference("Bucket"),
            PolicyDocument=document(
                {
                    **allow("s3:GetObject", {"Fn::Sub": "${Bucket.Arn}/*"}),
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                }
            ),
        ),
        "Secret": resource(
            "AWS::SecretsManager::Secret",
            Name=f"{name}/secret",
            KmsKeyId=attribute("Key", "Arn"),
            GenerateSecretString={
                "SecretStringTemplate": '{"user":"tandem"}',
                "GenerateStringKey": "password",
                "PasswordLength": 48,
                "ExcludePunctuation": True,
            },
            ReplicaRegions=[{"Region": PEER, "KmsKeyId": primary_key_arn}],
        ),
        "SecretPolicy": resource(
            "AWS::SecretsManager::ResourcePolicy",
            SecretId=reference("Secret"),
            ResourcePolicy=document(
                {
                    **allow("secretsmanager:GetSecretValue", "*"),
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                }
            ),
        ),
        "Rotation": resource(
            "AWS::SecretsManager::RotationSchedule",
            SecretId=reference("Secret"),
            RotationRules={"AutomaticallyAfterDays": 30},
        ),
        "Parameter": resource("AWS::SSM::Parameter", Name=f"/{name}", Type="String", Value="one"),
        "Repository": resource(
            "AWS::ECR::Repository",
            RepositoryName=f"{name}/consumer",
            ImageScanningConfiguration={"ScanOnPush": True},
            ImageTagMutability="IMMUTABLE",
            EncryptionConfiguration={"EncryptionType": "KMS", "KmsKey": attribute("Key", "Arn")},
            LifecyclePolicy={
                "LifecyclePolicyText": json.dumps(
                    {
                        "rules": [
                            {
                                "rulePriority": 1,
                                "selection": {
                                    "tagStatus": "untagged",
                                    "countType": "imageCountMoreThan",
                                    "countNumber": 5,
                                },
                                "action": {"type": "expire"},
                            }
                        ]
                    }
                )
            },
        ),
    }


def identity(name: str) -> Resources:
    boundary = resource(
        "AWS::IAM::ManagedPolicy",
        ManagedPolicyName=f"{name}-boundary",
        PolicyDocument=document(allow("*", "*")),
    )
    pipeline = {
        "Effect": "Allow",
        "Principal": {"Federated": reference("OidcProvider")},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{name}.example.com:aud": "sts.amazonaws.com"}},
    }
    return {
        "OidcProvider": resource(
            "AWS::IAM::OIDCProvider",
            Url=f"https://{name}.example.com",
            ClientIdList=["sts.amazonaws.com"],
            ThumbprintList=["0" * 40],
        ),
        "Boundary": boundary,
        "PipelineRole": resource(
            "AWS::IAM::Role",
            RoleName=f"{name}-pipeline",
            AssumeRolePolicyDocument=document(pipeline),
            PermissionsBoundary=reference("Boundary"),
            ManagedPolicyArns=[reference("Boundary")],
            MaxSessionDuration=3600,
        ),
        "PipelinePolicy": resource(
            "AWS::IAM::RolePolicy",
            RoleName=reference("PipelineRole"),
            PolicyName="cloudformation",
            PolicyDocument=document(allow("cloudformation:DescribeStacks", "*")),
        ),
        "Role": role(
            read_stream(attribute("Table", "StreamArn")),
            allow(["sqs:ReceiveMessage", "sqs:DeleteMessage"], attribute("Queue", "Arn")),
            allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], attribute("Queue", "Arn")),
            allow(["kms:Decrypt", "kms:GenerateDataKey"], attribute("Key", "Arn")),
        ),
        "ServiceRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": document(
                    *(
                        trust(f"{service}.amazonaws.com")["Statement"][0]
                        for service in ("scheduler", "apigateway", "vpc-flow-logs", "eks", "ec2")
                    )
                )
            },
        },
    }


def functions(name: str, code: dict[str, str]) -> Resources:
    source = "def handler(event, context):\n    return {'batchItemFailures': []}\n"
    layer = {"S3Bucket": code["S3Bucket"], "S3Key": code["S3Key"]}
    return {
        "Layer": resource("AWS::Lambda::LayerVersion", Content=layer),
        "Function": function(source, FunctionName=f"{name}-function"),
        "Version": resource("AWS::Lambda::Version", FunctionName=reference("Function")),
        "Alias": resource(
            "AWS::Lambda::Alias",
            FunctionName=reference("Function"),
            FunctionVersion=attribute("Version", "Version"),
            Name="live",
        ),
        "InvokeConfig": resource(
            "AWS::Lambda::EventInvokeConfig",
            FunctionName=reference("Function"),
            Qualifier="$LATEST",
            MaximumRetryAttempts=2,
            DestinationConfig={"OnFailure": {"Destination": attribute("Queue", "Arn")}},
        ),
        "StreamMapping": resource(
            "AWS::Lambda::EventSourceMapping",
            FunctionName=reference("Function"),
            EventSourceArn=attribute("Table", "StreamArn"),
            StartingPosition="TRIM_HORIZON",
            FunctionResponseTypes=["ReportBatchItemFailures"],
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=3,
        ),
        "QueueMapping": resource(
            "AWS::Lambda::EventSourceMapping",
            FunctionName=reference("Function"),
            EventSourceArn=attribute("Queue", "Arn"),
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ScalingConfig={"MaximumConcurrency": 2},
        ),
        "Permission": resource(
            "AWS::Lambda::Permission",
            FunctionName=attribute("Function", "Arn"),
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=attribute("Rule", "Arn"),
        ),
    }


def messaging(name: str) -> Resources:
    return {
        "Queue": queue(
            QueueName=f"{name}-queue",
            KmsMasterKeyId=attribute("Key", "Arn"),
            RedrivePolicy={
                "deadLetterTargetArn": attribute("DeadLetters", "Arn"),
                "maxReceiveCount": 5,
            },
        ),
        "DeadLetters": queue(QueueName=f"{name}-dead-letters", SqsManagedSseEnabled=True),
        "QueuePolicy": queue_policy("Queue"),
        "Topic": resource(
            "AWS::SNS::Topic", TopicName=f"{name}-topic", KmsMasterKeyId="alias/aws/sns"
        ),
        "TopicPolicy": resource(
            "AWS::SNS::TopicPolicy",
            Topics=[reference("Topic")],
            PolicyDocument=document(
                {
                    **allow("sns:Publish", reference("Topic")),
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                }
            ),
        ),
        "Subscription": resource(
            "AWS::SNS::Subscription",
            TopicArn=reference("Topic"),
            Protocol="sqs",
            Endpoint=attribute("Queue", "Arn"),
        ),
        "Bus": resource("AWS::Events::EventBus", Name=f"{name}-bus"),
        "BusPolicy": resource(
            "AWS::Events::EventBusPolicy",
            EventBusName=reference("Bus"),
            StatementId="account",
            Statement={
                **allow("events:PutEvents", attribute("Bus", "Arn")),
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            },
        ),
        "Archive": resource(
            "AWS::Events::Archive", SourceArn=attribute("Bus", "Arn"), RetentionDays=7
        ),
        "Rule": resource(
            "AWS::Events::Rule",
            EventBusName=reference("Bus"),
            EventPattern={"source": ["test"]},
            Targets=[
                {
                    "Id": "function",
                    "Arn": attribute("Function", "Arn"),
                    "DeadLetterConfig": {"Arn": attribute("DeadLetters", "Arn")},
                    "RetryPolicy": {"MaximumRetryAttempts": 1},
                }
            ],
        ),
        "ScheduleGroup": resource("AWS::Scheduler::ScheduleGroup", Name=f"{name}-group"),
        "Schedule": resource(
            "AWS::Scheduler::Schedule",
            Name=f"{name}-schedule",
            GroupName=reference("ScheduleGroup"),
            ScheduleExpression="rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            State="DISABLED",
            Target={
                "Arn": attribute("Function", "Arn"),
                "RoleArn": attribute("ServiceRole", "Arn"),
                "Input": "{}",
            },
        ),
    }


def http_api(name: str) -> Resources:
    invocation = (
        "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
        "${Function.Arn}/invocations"
    )
    return {
        "Api": resource("AWS::ApiGatewayV2::Api", Name=f"{name}-api", ProtocolType="HTTP"),
        "Authorizer": resource(
            "AWS::ApiGatewayV2::Authorizer",
            ApiId=reference("Api"),
            Name="tokens",
            AuthorizerType="REQUEST",
            AuthorizerUri={"Fn::Sub": invocation},
            AuthorizerPayloadFormatVersion="2.0",
            EnableSimpleResponses=True,
            IdentitySource=["$request.header.Authorization", "$context.routeKey"],
            AuthorizerResultTtlInSeconds=60,
        ),
        "Integration": resource(
            "AWS::ApiGatewayV2::Integration",
            ApiId=reference("Api"),
            IntegrationType="AWS_PROXY",
            IntegrationUri=attribute("Function", "Arn"),
            PayloadFormatVersion="2.0",
        ),
        "Route": resource(
            "AWS::ApiGatewayV2::Route",
            ApiId=reference("Api"),
            RouteKey="POST /v1/things",
            AuthorizationType="CUSTOM",
            AuthorizerId=reference("Authorizer"),
            Target={"Fn::Sub": "integrations/${Integration}"},
        ),
        "Stage": resource(
            "AWS::ApiGatewayV2::Stage",
            ApiId=reference("Api"),
            StageName="$default",
            AutoDeploy=True,
            AccessLogSettings={
                "DestinationArn": attribute("LogGroup", "Arn"),
                "Format": "$context.requestId",
            },
            DefaultRouteSettings={"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 50},
        ),
        "Certificate": resource(
            "AWS::CertificateManager::Certificate",
            DomainName=f"{name}.example.com",
            ValidationMethod="DNS",
            DomainValidationOptions=[
                {"DomainName": f"{name}.example.com", "HostedZoneId": reference("HostedZone")}
            ],
        ),
        "DomainName": resource(
            "AWS::ApiGatewayV2::DomainName",
            DomainName=f"{name}.example.com",
            DomainNameConfigurations=[
                {
                    "CertificateArn": reference("Certificate"),
                    "EndpointType": "REGIONAL",
                    "SecurityPolicy": "TLS_1_2",
                }
            ],
        ),
        "ApiMapping": resource(
            "AWS::ApiGatewayV2::ApiMapping",
            ApiId=reference("Api"),
            DomainName=reference("DomainName"),
            Stage=reference("Stage"),
        ),
        "WebAcl": resource(
            "AWS::WAFv2::WebACL",
            Name=f"{name}-acl",
            Scope="REGIONAL",
            DefaultAction={"Allow": {}},
            VisibilityConfig={
                "CloudWatchMetricsEnabled": True,
                "MetricName": "acl",
                "SampledRequestsEnabled": True,
            },
        ),
        "WebAclAssociation": resource(
            "AWS::WAFv2::WebACLAssociation",
            ResourceArn={
                "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/apis/${Api}"
                "/stages/${Stage}"
            },
            WebACLArn=attribute("WebAcl", "Arn"),
        ),
    }


def network() -> Resources:
    zone = {"Fn::Select": [0, {"Fn::GetAZs": ""}]}
    return {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16", EnableDnsSupport=True),
        "InternetGateway": resource("AWS::EC2::InternetGateway"),
        "GatewayAttachment": resource(
            "AWS::EC2::VPCGatewayAttachment",
            VpcId=reference("Vpc"),
            InternetGatewayId=reference("InternetGateway"),
        ),
        "Subnet": resource(
            "AWS::EC2::Subnet",
            VpcId=reference("Vpc"),
            CidrBlock="10.0.0.0/20",
            AvailabilityZone=zone,
        ),
        "RouteTable": resource("AWS::EC2::RouteTable", VpcId=reference("Vpc")),
        "RouteTableAssociation": resource(
            "AWS::EC2::SubnetRouteTableAssociation",
            SubnetId=reference("Subnet"),
            RouteTableId=reference("RouteTable"),
        ),
        "Address": resource("AWS::EC2::EIP", Domain="vpc"),
        "NatGateway": resource(
            "AWS::EC2::NatGateway",
            SubnetId=reference("Subnet"),
            AllocationId=attribute("Address", "AllocationId"),
        ),
        "NatRoute": resource(
            "AWS::EC2::Route",
            RouteTableId=reference("RouteTable"),
            DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId=reference("NatGateway"),
        ),
        "SecurityGroup": resource(
            "AWS::EC2::SecurityGroup", GroupDescription="nodes", VpcId=reference("Vpc")
        ),
        "Ingress": resource(
            "AWS::EC2::SecurityGroupIngress",
            GroupId=attribute("SecurityGroup", "GroupId"),
            IpProtocol="tcp",
            FromPort=443,
            ToPort=443,
            CidrIp="10.0.0.0/16",
        ),
        "Egress": resource(
            "AWS::EC2::SecurityGroupEgress",
            GroupId=attribute("SecurityGroup", "GroupId"),
            IpProtocol="tcp",
            FromPort=443,
            ToPort=443,
            CidrIp="0.0.0.0/0",
        ),
        "Endpoint": resource(
            "AWS::EC2::VPCEndpoint",
            VpcId=reference("Vpc"),
            VpcEndpointType="Interface",
            ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.events"},
            SubnetIds=[reference("Subnet")],
            SecurityGroupIds=[attribute("SecurityGroup", "GroupId")],
            PrivateDnsEnabled=True,
        ),
        "FlowLog": resource(
            "AWS::EC2::FlowLog",
            ResourceId=reference("Vpc"),
            ResourceType="VPC",
            TrafficType="REJECT",
            LogDestinationType="cloud-watch-logs",
            LogGroupName=reference("LogGroup"),
            DeliverLogsPermissionArn=attribute("ServiceRole", "Arn"),
        ),
        "LaunchTemplate": resource(
            "AWS::EC2::LaunchTemplate",
            LaunchTemplateData={
                "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
            },
        ),
    }


def cluster(name: str) -> Resources:
    return {
        "Cluster": resource(
            "AWS::EKS::Cluster",
            Name=f"{name}-cluster",
            RoleArn=attribute("ServiceRole", "Arn"),
            Version="1.33",
            ResourcesVpcConfig={"SubnetIds": [reference("Subnet")], "EndpointPrivateAccess": True},
            AccessConfig={"AuthenticationMode": "API"},
        ),
        "Nodegroup": resource(
            "AWS::EKS::Nodegroup",
            ClusterName=reference("Cluster"),
            NodegroupName="baseline",
            NodeRole=attribute("ServiceRole", "Arn"),
            Subnets=[reference("Subnet")],
            ScalingConfig={"MinSize": 2, "MaxSize": 4, "DesiredSize": 2},
            LaunchTemplate={
                "Id": reference("LaunchTemplate"),
                "Version": attribute("LaunchTemplate", "LatestVersionNumber"),
            },
        ),
        "Addon": resource(
            "AWS::EKS::Addon", ClusterName=reference("Cluster"), AddonName="eks-pod-identity-agent"
        ),
        "AccessEntry": resource(
            "AWS::EKS::AccessEntry",
            ClusterName=reference("Cluster"),
            PrincipalArn=attribute("PipelineRole", "Arn"),
        ),
        "PodIdentity": resource(
            "AWS::EKS::PodIdentityAssociation",
            ClusterName=reference("Cluster"),
            Namespace="tandem",
            ServiceAccount="consumer",
            RoleArn=attribute("PipelineRole", "Arn"),
        ),
    }


def observability(name: str) -> Resources:
    return {
        "LogGroup": resource(
            "AWS::Logs::LogGroup", LogGroupName=f"/tandem/{name}", RetentionInDays=30
        ),
        "MetricFilter": resource(
            "AWS::Logs::MetricFilter",
            LogGroupName=reference("LogGroup"),
            FilterPattern="ERROR",
            MetricTransformations=[
                {"MetricName": "errors", "MetricNamespace": "tandem", "MetricValue": "1"}
            ],
        ),
        "Query": resource(
            "AWS::Logs::QueryDefinition",
            Name=f"{name}/errors",
            LogGroupNames=[reference("LogGroup")],
            QueryString="fields @message",
        ),
        "Alarm": resource(
            "AWS::CloudWatch::Alarm",
            AlarmName=f"{name}-alarm",
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Metrics=[
                {
                    "Id": "errors",
                    "MetricStat": {
                        "Metric": {"MetricName": "Errors", "Namespace": "AWS/Lambda"},
                        "Period": 60,
                        "Stat": "Sum",
                    },
                    "ReturnData": True,
                }
            ],
            Threshold=0,
            AlarmActions=[reference("Topic")],
            Tags=[{"Key": "owner", "Value": "test"}],
        ),
        "CompositeAlarm": resource(
            "AWS::CloudWatch::CompositeAlarm",
            AlarmName=f"{name}-region",
            AlarmRule={"Fn::Sub": 'ALARM("${Alarm}")'},
            AlarmActions=[reference("Topic")],
        ),
        "Dashboard": resource(
            "AWS::CloudWatch::Dashboard",
            DashboardName=f"{name}-dashboard",
            DashboardBody={"Fn::Sub": '{"widgets":[]}'},
        ),
        "ScalableTarget": resource(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            ServiceNamespace="lambda",
            ScalableDimension="lambda:function:ProvisionedConcurrency",
            ResourceId={"Fn::Sub": "function:${Function}:live"},
            MinCapacity=1,
            MaxCapacity=5,
        ),
        "ScalingPolicy": resource(
            "AWS::ApplicationAutoScaling::ScalingPolicy",
            PolicyName=f"{name}-scaling",
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=reference("ScalableTarget"),
            TargetTrackingScalingPolicyConfiguration={"TargetValue": 0.7},
        ),
    }


def routing(name: str) -> Resources:
    return {
        "HostedZone": resource("AWS::Route53::HostedZone", Name=f"{name}.example.com"),
        "HealthCheck": resource(
            "AWS::Route53::HealthCheck",
            HealthCheckConfig={
                "Type": "HTTPS",
                "FullyQualifiedDomainName": f"{name}.example.com",
                "ResourcePath": "/health",
                "RequestInterval": 10,
                "FailureThreshold": 3,
            },
        ),
        "Record": resource(
            "AWS::Route53::RecordSet",
            HostedZoneId=reference("HostedZone"),
            Name=f"api.{name}.example.com",
            Type="A",
            Region=HOME,
            SetIdentifier=HOME,
            HealthCheckId=reference("HealthCheck"),
            AliasTarget={
                "DNSName": attribute("DomainName", "RegionalDomainName"),
                "HostedZoneId": attribute("DomainName", "RegionalHostedZoneId"),
                "EvaluateTargetHealth": True,
            },
        ),
        "SwitchPlan": resource(
            "AWS::ARCRegionSwitch::Plan",
            Name=f"{name}-plan",
            ExecutionRole=attribute("ServiceRole", "Arn"),
            RecoveryApproach="activeActive",
            Regions=[HOME, PEER],
            Workflows=[],
        ),
    }
