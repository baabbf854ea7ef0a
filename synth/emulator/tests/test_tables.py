"""Tables and global tables of stacks, and keys for what is encrypted."""

import unittest
from typing import Any

from support import (
    ACCOUNT,
    HOME,
    PEER,
    StackFailed,
    TestCase,
    allow,
    attribute,
    client,
    delete_stack,
    deploy,
    document,
    function,
    invoke,
    item,
    queue,
    reference,
    role,
    stream_table,
    table_keys,
    unique,
)

EXTRAS = {
    "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
}


def key(*, multi_region: bool = False) -> dict[str, Any]:
    return {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": key_policy(), "MultiRegion": multi_region},
    }


def key_policy() -> dict[str, Any]:
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    return document({**allow("kms:*", "*"), "Principal": principal})


def describe(name: str, region: str = HOME) -> dict[str, Any]:
    return client("dynamodb", region).describe_table(TableName=name)["Table"]


def time_to_live(name: str, region: str = HOME) -> str | None:
    answer = client("dynamodb", region).describe_time_to_live(TableName=name)
    return answer["TimeToLiveDescription"].get("AttributeName")


def recovery(name: str, region: str = HOME) -> str:
    answer = client("dynamodb", region).describe_continuous_backups(TableName=name)
    description = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    return description["PointInTimeRecoveryStatus"]


def table_regions(name: str) -> list[str]:
    regions = (HOME, PEER)
    return [r for r in regions if name in client("dynamodb", r).list_tables()["TableNames"]]


class Tables(TestCase):
    def test_ttl_recovery_encryption_and_stream_name(self) -> None:
        name = unique("table")
        encryption = {
            "SSEEnabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": attribute("Key", "Arn"),
        }
        table = stream_table(TableName=name, SSESpecification=encryption, **EXTRAS)
        outputs = {"Key": attribute("Key", "Arn"), "Stream": attribute("Table", "StreamArn")}
        found = deploy(name, {"Key": key(), "Table": table}, outputs=outputs)
        self.assertEqual(time_to_live(name), "expires_at")
        self.assertEqual(recovery(name), "ENABLED")
        description = describe(name)
        self.assertEqual(description["SSEDescription"]["KMSMasterKeyArn"], found["Key"])
        self.assertEqual(description["LatestStreamArn"], found["Stream"])
        self.assertTrue(found["Stream"].endswith("/" + description["LatestStreamLabel"]))

    def test_a_new_table_does_not_inherit_from_a_deleted_one(self) -> None:
        name = unique("table")
        deploy(name, {"Table": stream_table(TableName=name, **EXTRAS)})
        delete_stack(name)
        deploy(name, {"Table": stream_table(TableName=name)})
        self.assertEqual((time_to_live(name), recovery(name)), (None, "DISABLED"))

    def test_protected_table_is_not_deleted(self) -> None:
        name = unique("table")
        table = stream_table(TableName=name, DeletionProtectionEnabled=True)
        deploy(name, {"Table": table})
        with self.assertRaisesRegex(StackFailed, "protected against deletion"):
            delete_stack(name)
        client("dynamodb").update_table(TableName=name, DeletionProtectionEnabled=False)
        delete_stack(name)
        self.assertEqual(table_regions(name), [])


class GlobalTables(TestCase):
    def global_table(self, name: str, *regions: str, **per_replica: Any) -> dict[str, Any]:
        replicas = [{"Region": region, **per_replica} for region in regions]
        time_to_live = EXTRAS["TimeToLiveSpecification"]
        properties = {**table_keys(), "TableName": name, "Replicas": replicas}
        properties["TimeToLiveSpecification"] = time_to_live
        return {"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties}

    def test_replicas_are_made_configured_and_deleted(self) -> None:
        name = unique("global")
        recovered = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
        table = self.global_table(name, HOME, PEER, **recovered)
        outputs = {name: attribute("Table", name) for name in ("Arn", "StreamArn", "TableId")}
        found = deploy(name, {"Table": table}, outputs=outputs)
        for region in (HOME, PEER):
            self.assertEqual(time_to_live(name, region), "expires_at")
            self.assertEqual(recovery(name, region), "ENABLED")
        self.assertEqual(describe(name)["LatestStreamArn"], found["StreamArn"])
        far_stream = describe(name, PEER)["LatestStreamArn"]
        self.assertTrue(far_stream.startswith(f"arn:aws:dynamodb:{PEER}:{ACCOUNT}:table/{name}/"))
        client("dynamodb").put_item(TableName=name, Item=item("a"))
        self.assertIn("Item", client("dynamodb", PEER).get_item(TableName=name, Key=item("a")))
        delete_stack(name)
        self.assertEqual(table_regions(name), [])

    def test_replicas_follow_the_template(self) -> None:
        name = unique("global")
        for regions in ((HOME,), (HOME, PEER), (HOME,)):
            deploy(name, {"Table": self.global_table(name, *regions)})
            self.assertEqual(table_regions(name), list(regions))

    def test_own_region_is_required(self) -> None:
        name = unique("global")
        with self.assertRaisesRegex(StackFailed, "must contain the region of the stack"):
            deploy(name, {"Table": self.global_table(name, PEER)})

    def test_one_protected_replica_protects_the_table(self) -> None:
        name = unique("global")
        protected = {"DeletionProtectionEnabled": True}
        deploy(name, {"Table": self.global_table(name, HOME, PEER, **protected)})
        with self.assertRaisesRegex(StackFailed, "protected against deletion"):
            delete_stack(name)
        self.assertEqual(table_regions(name), [HOME, PEER])


class StrongTables(TestCase):
    def deployed(self, **changes: Any) -> str:
        name = unique("strong")
        properties = {
            **{key: value for key, value in table_keys().items() if key != "StreamSpecification"},
            "TableName": name,
            "MultiRegionConsistency": "STRONG",
            "GlobalTableWitnesses": [{"Region": "us-east-2"}],
            "Replicas": [{"Region": HOME}, {"Region": PEER}],
            **changes,
        }
        deploy(name, {"T": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties}})
        return name

    def test_described_with_its_witness_and_read_in_the_other_region(self) -> None:
        name = self.deployed()
        for region in (HOME, PEER):
            table = client("dynamodb", region).describe_table(TableName=name)["Table"]
            self.assertEqual(table["MultiRegionConsistency"], "STRONG")
            self.assertEqual(table["GlobalTableWitnesses"][0]["RegionName"], "us-east-2")
        client("dynamodb").put_item(TableName=name, Item=item("a"))
        read = client("dynamodb", PEER).get_item(TableName=name, Key=item("a"), ConsistentRead=True)
        self.assertIn("Item", read)

    def test_what_strong_consistency_excludes_is_refused(self) -> None:
        ttl = {"AttributeName": "expires_at", "Enabled": True}
        for changes, reason in (
            ({"GlobalTableWitnesses": []}, "three replicas, or two and one witness"),
            ({"GlobalTableWitnesses": [{"Region": "eu-west-1"}]}, "not available between"),
            ({"TimeToLiveSpecification": ttl}, "TimeToLiveSpecification is not supported"),
            ({"MultiRegionConsistency": "EVENTUAL"}, "GlobalTableWitnesses need"),
        ):
            with self.assertRaisesRegex(StackFailed, reason):
                self.deployed(**changes)

    def test_transactions_are_refused(self) -> None:
        name = self.deployed()
        put = {"Put": {"TableName": name, "Item": item("a")}}
        dynamodb = client("dynamodb")
        with self.assertRaisesRegex(dynamodb.exceptions.ClientError, "strong consistency"):
            dynamodb.transact_write_items(TransactItems=[put])
        get = {"Get": {"TableName": name, "Key": item("a")}}
        with self.assertRaisesRegex(dynamodb.exceptions.ClientError, "strong consistency"):
            dynamodb.transact_get_items(TransactItems=[get])


class EncryptedResources(TestCase):
    """A function's role needs rights on the key, beside those on the resource."""

    CALLER = """
import os, botocore.session
session = botocore.session.get_session()
def attempt(call, **request):
    try:
        call(**request)
    except Exception as error:
        return str(error)
    return "ok"
def handler(event, context):
    table = session.create_client("dynamodb")
    queue = session.create_client("sqs")
    secret = session.create_client("secretsmanager")
    return [
        attempt(table.put_item, TableName=os.environ["TABLE"], Item={"pk": {"S": "a"}}),
        attempt(queue.send_message, QueueUrl=os.environ["QUEUE"], MessageBody="text"),
        attempt(secret.get_secret_value, SecretId=os.environ["SECRET"]),
    ]
"""

    def answers(self, *key_actions: str) -> list[str]:
        name = unique("encrypted")
        key_arn = attribute("Key", "Arn")
        encryption = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key_arn}
        statements = [
            allow("dynamodb:PutItem", attribute("Table", "Arn")),
            allow("sqs:SendMessage", attribute("Queue", "Arn")),
            allow("secretsmanager:GetSecretValue", reference("Secret")),
        ]
        if key_actions:
            statements.append(allow(list(key_actions), key_arn))
        variables = {name.upper(): reference(name) for name in ("Table", "Queue", "Secret")}
        settings = {"FunctionName": name, "Environment": {"Variables": variables}}
        resources = {
            "Key": key(),
            "Table": stream_table(SSESpecification=encryption),
            "Queue": queue(KmsMasterKeyId=key_arn),
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"SecretString": "text", "KmsKeyId": key_arn},
            },
            "Role": role(*statements),
            "F": function(self.CALLER, **settings),
        }
        deploy(name, resources)
        return invoke(name)

    def test_rights_on_the_key_are_needed(self) -> None:
        actions = ("kms:Decrypt", "kms:GenerateDataKey", "kms:Decrypt")
        for answer, action in zip(self.answers(), actions, strict=True):
            self.assertIn("AccessDenied", answer)
            self.assertIn(f"to perform: {action} on resource: arn:aws:kms:", answer)

    def test_rights_on_the_key_suffice(self) -> None:
        self.assertEqual(self.answers("kms:Decrypt", "kms:GenerateDataKey"), ["ok"] * 3)


class ReplicaKeys(TestCase):
    def test_what_one_region_encrypts_the_other_decrypts(self) -> None:
        name = unique("key")
        primary = deploy(
            name, {"Key": key(multi_region=True)}, outputs={"Arn": attribute("Key", "Arn")}
        )
        properties = {"PrimaryKeyArn": primary["Arn"], "KeyPolicy": key_policy()}
        replica = {"Type": "AWS::KMS::ReplicaKey", "Properties": properties}
        outputs = {"Arn": attribute("Replica", "Arn")}
        found = deploy(name, {"Replica": replica}, outputs=outputs, region=PEER)
        self.assertEqual(found["Arn"], primary["Arn"].replace(HOME, PEER))
        secret = client("kms").encrypt(KeyId=primary["Arn"], Plaintext=b"text")["CiphertextBlob"]
        self.assertEqual(client("kms", PEER).decrypt(CiphertextBlob=secret)["Plaintext"], b"text")
        delete_stack(name, PEER)
        metadata = client("kms", PEER).describe_key(KeyId=found["Arn"])["KeyMetadata"]
        self.assertEqual(metadata["KeyState"], "PendingDeletion")


if __name__ == "__main__":
    unittest.main()
