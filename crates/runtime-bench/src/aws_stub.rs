//! A stand-in for the AWS services that the functions call, over plain HTTP on one port, and for an issuer's key server.
//!
//! It answers what a service in good health would, as fast as it can: so many entries accepted as were sent, the secret, the
//! row that was written last, the record of authority. It checks no signature and no condition. What it was asked for is counted, so that a function
//! that skips its work is noticed.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::http::{Connection, Message};
use crate::tokens;

/// The services on one port.
#[derive(Debug)]
pub struct AwsStub {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicU64,
    entries: AtomicU64,
    /// Items by their region and the text of their `pk`, of all tables.
    items: Mutex<BTreeMap<(String, String), Value>>,
}

impl AwsStub {
    /// Starts the services.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        // The thread ends with the benchmark: there is nothing in it to be waited for.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                thread::spawn(move || {
                    Connection::new(stream).and_then(|connection| serve(connection, &shared, address))
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// The value of `AWS_ENDPOINT_URL`; an issuer of keys too.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How many events were put onto buses so far.
    pub fn entries(&self) -> u64 {
        self.shared.entries.load(Ordering::Relaxed)
    }
}

fn serve(mut connection: Connection, shared: &Shared, address: SocketAddr) -> io::Result<()> {
    while let Some(request) = connection.read()? {
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let (status, body) = shared.answer(&request, address);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\n\
             x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
        );
        connection.send(&head, body.as_bytes())?;
    }
    Ok(())
}

impl Shared {
    fn answer(&self, request: &Message, address: SocketAddr) -> (&'static str, String) {
        if request.path().ends_with("/.well-known/jwks.json") {
            return ("200 OK", tokens::key_set());
        }
        // `AWSEvents.PutEvents` and the like.
        let target = request.header("x-amz-target").unwrap_or_default();
        let body = match target.rsplit('.').next().unwrap_or_default() {
            "PutEvents" => self.put_events(&request.body),
            "SendMessage" => r#"{"MessageId":"m-1","MD5OfMessageBody":"d41d8cd98f00b204e9800998ecf8427e"}"#.to_owned(),
            "ReceiveMessage" => r#"{"Messages":[{"MessageId":"m-1","ReceiptHandle":"AQEB","Body":"{}"}]}"#.to_owned(),
            "DeleteMessage" => "{}".to_owned(),
            "GetQueueUrl" => json!({ "QueueUrl": format!("http://{address}/000000000000/queue") }).to_string(),
            "GetSecretValue" => secret(&request.body),
            "GetItem" => self.get_item(region(request), &request.body),
            "PutItem" => self.put_item(region(request), &request.body),
            _ => {
                return (
                    "400 Bad Request",
                    r#"{"__type":"UnknownOperationException","message":"not here"}"#.to_owned(),
                );
            }
        };
        ("200 OK", body)
    }

    fn put_events(&self, body: &[u8]) -> String {
        let count = entries_in(body);
        self.entries.fetch_add(count as u64, Ordering::Relaxed);
        let entries = [r#"{"EventId":"11710aed-b79e-4468-a20b-bb3c0c3b4860"}"#].repeat(count).join(",");
        format!(r#"{{"FailedEntryCount":0,"Entries":[{entries}]}}"#)
    }

    fn get_item(&self, region: &str, body: &[u8]) -> String {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let key = request["Key"]["pk"]["S"].as_str().unwrap_or_default();
        let item = items.get(&(region.to_owned(), key.to_owned())).cloned();
        let item = item.or_else(|| (key == "authority#all").then(authority));
        item.map_or_else(|| "{}".to_owned(), |item| json!({ "Item": item }).to_string())
    }

    fn put_item(&self, region: &str, body: &[u8]) -> String {
        let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
        let item = request["Item"].take();
        if let Some(key) = item["pk"]["S"].as_str().map(ToOwned::to_owned) {
            self.items.lock().unwrap_or_else(PoisonError::into_inner).insert((region.to_owned(), key), item);
        }
        "{}".to_owned()
    }
}

/// The record that says which region owns what, as it is in quiet times.
fn authority() -> Value {
    json!({
        "pk": { "S": "authority#all" },
        "version": { "N": "1" },
        "owner": { "S": "us-west-2" },
        "epoch": { "N": "1" },
        "withdrawn": { "M": {} },
        "changed_at": { "S": "2026-11-30T00:00:00.000Z" },
        "changed_by": { "S": "bench" },
    })
}

/// The region that a request is for, as its signature says: `Credential=<key>/<day>/<region>/<service>/aws4_request`.
fn region(request: &Message) -> &str {
    request.header("authorization").and_then(|text| text.split('/').nth(2)).unwrap_or_default()
}

/// How many entries a `PutEvents` request has. Inside the texts of entries quotes have a backslash before them, so this is
/// found in the request's own keys only.
fn entries_in(body: &[u8]) -> usize {
    const KEY: &[u8] = br#""DetailType":"#;
    body.windows(KEY.len()).filter(|window| *window == KEY).count()
}

/// The secret at the stage that is asked for: two versions, as after a rotation.
fn secret(body: &[u8]) -> String {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let (version, text) = match request["VersionStage"].as_str() {
        Some("AWSPREVIOUS") => ("v-1", tokens::PREVIOUS_SECRET),
        _ => ("v-2", tokens::SECRET),
    };
    json!({
        "ARN": "arn:aws:secretsmanager:us-west-2:000000000000:secret:tandem-bench-jwt-AbCdEf",
        "Name": "tandem-bench-jwt",
        "VersionId": version,
        "SecretString": text,
        "CreatedDate": 1_767_603_600,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Item;
    use events::authority::{Authority, Scope};
    use std::net::TcpStream;

    fn ask(stub: &AwsStub, target: &str, body: &Value) -> Value {
        ask_in("us-west-2", stub, target, body)
    }

    fn ask_in(region: &str, stub: &AwsStub, target: &str, body: &Value) -> Value {
        let mut connection = Connection::new(TcpStream::connect(stub.address).expect("listens")).expect("open");
        let signature =
            format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/{region}/x/aws4_request, SignedHeaders=host");
        let head = format!("POST / HTTP/1.1\r\nX-Amz-Target: {target}\r\nAuthorization: {signature}\r\n");
        connection.send(&head, body.to_string().as_bytes()).expect("sent");
        let answer = connection.read().expect("HTTP").expect("an answer");
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    #[test]
    fn as_many_entries_are_accepted_as_were_sent() {
        let stub = AwsStub::start().expect("a port");
        let entry = json!({ "DetailType": "a", "Detail": r#"{"DetailType":"not an entry"}"# });
        let answer = ask(&stub, "AWSEvents.PutEvents", &json!({ "Entries": [entry, entry, entry] }));
        assert_eq!(answer["Entries"].as_array().map(Vec::len), Some(3));
        assert_eq!((stub.requests(), stub.entries()), (1, 3));
    }

    #[test]
    fn a_row_is_read_back_as_it_was_written_in_its_region() {
        let stub = AwsStub::start().expect("a port");
        let key = json!({ "pk": { "S": "canary#us-west-2" } });
        let read = |region: &str| ask_in(region, &stub, "DynamoDB_20120810.GetItem", &json!({ "Key": key }));
        assert_eq!(read("us-west-2"), json!({}));
        let item = json!({ "pk": { "S": "canary#us-west-2" }, "written_at": { "N": "5" } });
        ask(&stub, "DynamoDB_20120810.PutItem", &json!({ "Item": item }));
        assert_eq!((read("us-west-2"), read("us-east-1")), (json!({ "Item": item }), json!({})));
    }

    #[test]
    fn the_record_of_authority_can_be_read() {
        let stub = AwsStub::start().expect("a port");
        let key = json!({ "pk": { "S": Authority::key(&Scope::all()) } });
        let mut answer = ask(&stub, "DynamoDB_20120810.GetItem", &json!({ "Key": key }));
        let item: Item = serde_json::from_value(answer["Item"].take()).expect("an item");
        assert_eq!(Authority::from_item(&item).expect("a record").epoch.get(), 1);
    }

    #[test]
    fn each_stage_of_the_secret_has_its_text_and_other_calls_are_refused() {
        let stub = AwsStub::start().expect("a port");
        let text = |stage: &str| {
            ask(&stub, "secretsmanager.GetSecretValue", &json!({ "VersionStage": stage }))["SecretString"].clone()
        };
        assert_eq!((text("AWSCURRENT"), text("AWSPREVIOUS")), (json!(tokens::SECRET), json!(tokens::PREVIOUS_SECRET)));
        assert_eq!(ask(&stub, "AWSEvents.ListRules", &json!({}))["__type"], "UnknownOperationException");
    }
}
