//! What librdkafka is told, and that it takes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::FutureProducer;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;
use certificates::{Authority, Certified};

#[path = "certificates.rs"]
mod certificates;

fn config(variables: &[(&str, &str)]) -> CdcConsumer {
    let mut known = HashMap::from([
        ("AWS_REGION", "us-west-2"),
        ("KAFKA_BROKERS", "127.0.0.1:9"),
        ("KAFKA_SECURITY", "plaintext"),
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9"),
        ("SOURCE_ID", "shop"),
        ("CUSTOMERS_TABLE", "customers"),
        ("ORDERS_TABLE", "orders"),
        ("PRODUCTS_TABLE", "products"),
        ("AUTHORITY", "epoch:1"),
    ]);
    known.extend(variables.iter().copied());
    CdcConsumer::from_lookup(|name| known.get(name).map(ToString::to_string)).expect("complete")
}

/// What a connection with these settings is told; librdkafka has to take it, for both clients.
fn taken(config: &CdcConsumer) -> ClientConfig {
    let client = consumer_config(config).expect("complete");
    let consumer: Result<BaseConsumer, _> = client.create();
    assert!(consumer.is_ok(), "{:?}", consumer.err());
    let producer: Result<FutureProducer, _> = producer_config(config).expect("complete").create();
    assert!(producer.is_ok(), "{:?}", producer.err());
    client
}

/// A folder with a client's certificate, its key, and the authority of both sides.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.sign("consumer").write(folder.path());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
    let path = folder.path().to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn credentials_come_from_files() {
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        let config = config(&[
            ("KAFKA_SECURITY", "sasl_ssl"),
            ("KAFKA_SASL_MECHANISM", mechanism),
            ("KAFKA_CREDENTIALS_DIR", &path),
        ]);
        let error = consumer_config(&config).expect_err("no file").to_string();
        for part in ["/username", "/password", "KAFKA_CREDENTIALS_DIR"] {
            assert!(error.contains(part), "{error}");
        }
        std::fs::write(folder.path().join("username"), "reader\n").expect("written");
        std::fs::write(folder.path().join("password"), "hunter2\n").expect("written");
        let client = taken(&config);
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", mechanism),
            ("sasl.username", "reader"),
            ("sasl.password", "hunter2"),
        ] {
            assert_eq!(client.get(name), Some(value));
        }
        assert!(!format!("{client:?}").contains("hunter2"), "a password is never printed");
    }
}

#[test]
fn a_clients_certificate_comes_from_files() {
    let (folder, path) = folder();
    let authorities = format!("{path}/ca.pem");
    let config =
        config(&[("KAFKA_SECURITY", "mtls"), ("KAFKA_CREDENTIALS_DIR", &path), ("KAFKA_CA_FILE", &authorities)]);
    let client = taken(&config);
    assert_eq!(client.get("security.protocol"), Some("ssl"));
    assert_eq!(client.get("ssl.ca.location"), Some(&*authorities));
    assert_eq!(client.get("ssl.endpoint.identification.algorithm"), Some("https"));
    assert!(!format!("{client:?}").contains("PRIVATE KEY"), "a key stays in its file");
    // Everything that is wrong is told at once.
    for name in ["certificate.pem", "key.pem", "ca.pem"] {
        std::fs::write(folder.path().join(name), "nothing").expect("written");
    }
    let error = consumer_config(&config).expect_err("no certificates").to_string();
    for part in ["/certificate.pem holds no", "/key.pem holds no", "/ca.pem holds no"] {
        assert!(error.contains(part), "{error}");
    }
}

/// An authority that signs both sides' certificates works with SASL too.
#[test]
fn authorities_may_be_ones_own() {
    let (folder, path) = folder();
    for (name, text) in [("username", "reader"), ("password", "hunter2")] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let authorities = format!("{path}/ca.pem");
    let client = taken(&config(&[
        ("KAFKA_SECURITY", "sasl_ssl"),
        ("KAFKA_CREDENTIALS_DIR", &path),
        ("KAFKA_CA_FILE", &authorities),
    ]));
    assert_eq!(client.get("ssl.ca.location"), Some(&*authorities));
}

/// With KIP-848 the broker has what a member brings by the classic protocol, and librdkafka refuses the settings.
#[test]
fn a_group_protocol_brings_its_settings() {
    let of_members = ["partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"];
    let classic = taken(&config(&[]));
    assert_eq!(classic.get("group.protocol"), Some("classic"));
    assert_eq!(classic.get("partition.assignment.strategy"), Some("cooperative-sticky"));
    assert!(of_members.iter().all(|name| classic.get(name).is_some()));
    let mut broker = taken(&config(&[("KAFKA_GROUP_PROTOCOL", "consumer")]));
    assert_eq!(broker.get("group.protocol"), Some("consumer"));
    for name in of_members {
        assert_eq!(broker.get(name), None, "{name}");
        broker.set(name, classic.get(name).expect("set"));
        assert!(broker.create::<BaseConsumer>().is_err(), "{name} is refused");
        broker.remove(name);
    }
}

#[test]
fn dead_letters_may_be_larger_than_messages() {
    let config = producer_config(&config(&[])).expect("complete");
    let largest: u32 = config.get("message.max.bytes").and_then(|text| text.parse().ok()).expect("a number");
    assert!(largest > 10 * 1_048_576);
}

#[test]
fn offsets_are_safe() {
    let client = taken(&config(&[]));
    for (name, value) in
        [("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("auto.offset.reset", "error")]
    {
        assert_eq!(client.get(name), Some(value));
    }
    assert_eq!(client.get("security.protocol"), None);
}

/// The broker's side of TLS, up to the handshake: the client's certificate, or why there is none.
async fn handshake(server: &Certified, authority: &Authority, client: ClientConfig) -> Result<Vec<u8>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().clone()).expect("a root");
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server.key.serialize_der()));
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.certificate.der().clone()], key)
        .expect("a certificate");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let connects = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = client.clone().set("bootstrap.servers", address).create().expect("a client");
        // No broker answers behind the handshake.
        let _ = client.fetch_metadata(None, Duration::from_secs(2));
    });
    let (stream, _) = listener.accept().await.expect("a connection");
    let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    let shown = match &accepted {
        Ok(stream) => {
            let shown = stream.get_ref().1.peer_certificates().expect("certificates");
            Ok(shown[0].as_ref().to_vec())
        }
        Err(error) => Err(error.to_string()),
    };
    drop(accepted);
    connects.await.expect("no panic");
    shown
}

/// Both sides of a real handshake show who they are, and neither takes a stranger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls_shows_the_clients_certificate() {
    let (ours, others) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8").to_owned();
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).expect("written");
    let client = ours.sign("consumer");
    client.write(folder.path());
    let authorities = format!("{path}/ca.pem");
    let variables = [("KAFKA_SECURITY", "mtls"), ("KAFKA_CREDENTIALS_DIR", &*path), ("KAFKA_CA_FILE", &*authorities)];
    let settings = consumer_config(&config(&variables)).expect("complete");

    let broker = ours.sign("127.0.0.1");
    let shown = handshake(&broker, &ours, settings.clone()).await.expect("a handshake");
    assert_eq!(shown, client.certificate.der().to_vec());
    // A broker whose certificate is another authority's, or for another name, gets none.
    for stranger in [others.sign("127.0.0.1"), ours.sign("elsewhere.example.com")] {
        handshake(&stranger, &ours, settings.clone()).await.expect_err("the client refuses");
    }
    // A client with another authority's certificate isn't let in.
    others.sign("consumer").write(folder.path());
    let settings = consumer_config(&config(&variables)).expect("complete");
    handshake(&broker, &ours, settings).await.expect_err("the broker refuses");
}
