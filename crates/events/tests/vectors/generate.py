"""Writes vectors.json: Kafka messages as Qlik Replicate sends them, made by another Avro implementation than the crate's.

Run in this folder, in a virtual environment with fastavro 1.13:  python generate.py > vectors.json
The expected readings are in the test's snapshot, which is reviewed by hand; this file only makes bytes.
"""

import datetime
import decimal
import io
import json

from fastavro import parse_schema, schemaless_writer

NAMESPACE = "com.attunity.queue.msg.crm_task.sales.customers"
VALUE, KEY, ENVELOPE = 11, 12, 13

HEADERS = {
    "type": "record", "name": "Headers", "namespace": "com.attunity.queue.msg",
    "fields": [
        {"name": "operation", "type": {"type": "enum", "name": "operation", "symbols": ["INSERT", "UPDATE", "DELETE", "REFRESH"]}},
        {"name": "changeSequence", "type": "string"},
        {"name": "timestamp", "type": "string"},
        {"name": "streamPosition", "type": "string"},
        {"name": "transactionId", "type": "string"},
        {"name": "changeMask", "type": ["null", "bytes"], "default": None},
        {"name": "columnMask", "type": ["null", "bytes"], "default": None},
        {"name": "externalSchemaId", "type": ["null", "string"], "default": None},
        {"name": "transactionEventCounter", "type": ["null", "long"], "default": None},
        {"name": "transactionLastEvent", "type": ["null", "boolean"], "default": None},
    ],
}
DATA = {
    "type": "record", "name": "Data",
    "fields": [
        {"name": "CUSTOMER_ID", "type": ["null", "long"]},
        {"name": "NAME", "type": ["null", "string"]},
        {"name": "CREDIT", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}]},
        {"name": "BORN", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "SEEN", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "RATIO", "type": ["null", "double"]},
    ],
}
RECORD = {
    "type": "record", "name": "DataRecord", "namespace": NAMESPACE,
    "fields": [{"name": "data", "type": DATA}, {"name": "beforeData", "type": ["null", "Data"]}, {"name": "headers", "type": HEADERS}],
}
KEY_RECORD = {"type": "record", "name": "KeyRecord", "namespace": NAMESPACE, "fields": [{"name": "CUSTOMER_ID", "type": "long"}]}
MESSAGE_ENVELOPE = {
    "type": "record", "name": "MessageEnvelope", "namespace": "com.attunity.queue.msg",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "Magic", "size": 5}},
        {"name": "type", "type": "string"},
        {"name": "headers", "type": ["null", {"type": "map", "values": "string"}]},
        {"name": "messageSchemaId", "type": ["null", "string"]},
        {"name": "messageSchema", "type": ["null", "string"]},
        {"name": "message", "type": "bytes"},
    ],
}
SCHEMAS = {VALUE: RECORD, KEY: KEY_RECORD, ENVELOPE: MESSAGE_ENVELOPE}

SEQUENCE = "20230911032325000000000000000000005"
NOTHING = dict.fromkeys(("CUSTOMER_ID", "NAME", "CREDIT", "BORN", "SEEN", "RATIO"))
ROW = {
    "CUSTOMER_ID": 9007199254740993, "NAME": "Zoë", "CREDIT": decimal.Decimal("-12345678901234567.890"), "BORN": datetime.date(1969, 7, 20),
    "SEEN": datetime.datetime(2023, 9, 11, 3, 23, 25, 1, tzinfo=datetime.timezone.utc), "RATIO": 0.1,
}


def datum(schema, value):
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(json.loads(json.dumps(schema))), value)
    return out.getvalue()


def framed(schema_id, value):
    return b"\0" + schema_id.to_bytes(4, "big") + datum(SCHEMAS[schema_id], value)


def record(operation, data, before=None, sequence=SEQUENCE, timestamp="2023-09-11T03:23:25.000", mask=None):
    counted = operation != "REFRESH"
    return {
        "data": data, "beforeData": before,
        "headers": {
            "operation": operation, "changeSequence": sequence if counted else "", "timestamp": timestamp if counted else "",
            "streamPosition": "00000000:1a" if counted else "", "transactionId": "77" if counted else "",
            "changeMask": None, "columnMask": mask, "externalSchemaId": None,
            "transactionEventCounter": 1 if counted else None, "transactionLastEvent": True if counted else None,
        },
    }


def envelope(message, kind="DT", magic=b"atMSG", schema_id=None, schema=None):
    return framed(ENVELOPE, {"magic": magic, "type": kind, "headers": None, "messageSchemaId": schema_id, "messageSchema": schema, "message": message})


def key(number=9007199254740993):
    return framed(KEY, {"CUSTOMER_ID": number})


INSERT = record("INSERT", ROW)
VECTORS = [
    ("insert, key record", key(), framed(VALUE, INSERT)),
    ("insert, text key", b"9007199254740993", framed(VALUE, INSERT)),
    ("insert, no key", None, framed(VALUE, INSERT)),
    ("insert, table name as key", b"sales.customers", framed(VALUE, INSERT)),
    ("update", key(), framed(VALUE, record("UPDATE", {**ROW, "NAME": None}, before=ROW))),
    ("update, partial, bit 0 first", key(), framed(VALUE, record("UPDATE", {**NOTHING, "CUSTOMER_ID": 9007199254740993, "NAME": "Zoe"}, mask=b"\x07"))),
    ("update, partial, after a byte of header columns", key(), framed(VALUE, record("UPDATE", {**NOTHING, "CUSTOMER_ID": 9007199254740993, "NAME": "Zoe"}, mask=b"\x00\x07"))),
    ("update, mask over all columns", key(), framed(VALUE, record("UPDATE", {**ROW, "NAME": None}, mask=b"\x3f"))),
    ("update, mask that fits nowhere", key(), framed(VALUE, record("UPDATE", {**ROW, "NAME": None}, mask=b"\x01"))),
    ("update that moves the row", key(2), framed(VALUE, record("UPDATE", {**ROW, "CUSTOMER_ID": 2}, before=ROW))),
    ("delete, row in data", None, framed(VALUE, record("DELETE", ROW))),
    ("delete, row in before image", None, framed(VALUE, record("DELETE", NOTHING, before=ROW))),
    ("delete, row only in the key", key(), framed(VALUE, record("DELETE", NOTHING))),
    ("delete, row nowhere", None, framed(VALUE, record("DELETE", NOTHING))),
    ("refresh", key(), framed(VALUE, record("REFRESH", ROW))),
    ("time with a zone", key(), framed(VALUE, record("INSERT", ROW, timestamp="2023-09-11T05:23:25.000+02:00"))),
    ("time malformed", key(), framed(VALUE, record("INSERT", ROW, timestamp="yesterday"))),
    ("sequence too short", key(), framed(VALUE, record("INSERT", ROW, sequence="5"))),
    ("sequence missing", key(), framed(VALUE, record("INSERT", ROW, sequence=""))),
    ("compaction mark", key(), None),
    ("envelope, schema inside", key(), envelope(datum(RECORD, INSERT), schema=json.dumps(RECORD))),
    ("envelope, schema by registry id", key(), envelope(datum(RECORD, INSERT), schema_id=str(VALUE))),
    ("envelope, schema by unknown registry id", key(), envelope(datum(RECORD, INSERT), schema_id="999")),
    ("envelope, schema by a GUID", key(), envelope(datum(RECORD, INSERT), schema_id="0b1c7a3e-0000-4000-8000-000000000000")),
    ("envelope, no schema", key(), envelope(datum(RECORD, INSERT))),
    ("envelope, schema malformed", key(), envelope(datum(RECORD, INSERT), schema="{")),
    ("envelope, metadata", key(), envelope(b"", kind="MD")),
    ("envelope, other type", key(), envelope(b"", kind="XX")),
    ("envelope, wrong magic", key(), envelope(b"", magic=b"atMSX")),
    ("json value", None, b'{"magic":"atMSG","type":"DT","message":{"data":{}}}'),
    ("json key", b'{"CUSTOMER_ID":1}', framed(VALUE, INSERT)),
    ("unframed value", None, datum(RECORD, INSERT)),
    ("empty value", None, b""),
    ("truncated value", key(), framed(VALUE, INSERT)[:-9]),
    ("trailing bytes", key(), framed(VALUE, INSERT) + b"\0"),
    ("value of another schema", None, framed(KEY, {"CUSTOMER_ID": 1})),
    ("key truncated", key()[:5], framed(VALUE, INSERT)),
    ("key of other bytes", b"\xff\xfe", framed(VALUE, INSERT)),
]

vectors = [
    {"name": name, "entity": "customers", "key": None if k is None else k.hex(), "value": None if v is None else v.hex()}
    for name, k, v in VECTORS
]
vectors.append({**vectors[0], "name": "schema id in a header", "value": vectors[0]["value"][10:], "schema_header": True})
print(json.dumps({"schemas": SCHEMAS, "vectors": vectors}, indent=1))
