//! Writes small databases in MaxMind's format (MaxMind DB file format specification 2.0), for tests.

use std::net::{IpAddr, Ipv6Addr};

/// A value in a database.
#[derive(Clone, Debug)]
pub(crate) enum Datum {
    Text(String),
    U16(u16),
    U32(u32),
    U64(u64),
    List(Vec<Datum>),
    Map(Vec<(&'static str, Datum)>),
}

/// A record as GeoIP2 has it, with things that nobody asks for.
pub(crate) fn geoip2(country: &str, continent: &str) -> Datum {
    let names = || Datum::Map(vec![("en", text("Somewhere"))]);
    Datum::Map(vec![
        ("city", Datum::Map(vec![("names", names())])),
        ("continent", Datum::Map(vec![("code", text(continent)), ("names", names())])),
        ("country", Datum::Map(vec![("geoname_id", Datum::U32(7)), ("iso_code", text(country))])),
        ("subdivisions", Datum::List(vec![names()])),
    ])
}

/// A text.
pub(crate) fn text(text: &str) -> Datum {
    Datum::Text(text.to_owned())
}

/// A database file of IPv6 addresses with IPv4 in its usual place. Of two networks that overlap the later counts.
pub(crate) fn database(name: &str, networks: &[(&str, Datum)]) -> Vec<u8> {
    let mut tree = Tree { nodes: vec![[Slot::Empty; 2]] };
    let mut data = Vec::new();
    for (network, datum) in networks {
        let (address, bits) = network.split_once('/').expect("a network");
        let bits: u32 = bits.parse().expect("a number of bits");
        let (address, bits) = match address.parse().expect("an address") {
            IpAddr::V4(address) => (u128::from(address.to_bits()), bits + 96),
            IpAddr::V6(address) => (Ipv6Addr::to_bits(address), bits),
        };
        tree.insert(address, bits, data.len());
        write(datum, &mut data);
    }
    let metadata = Datum::Map(vec![
        ("binary_format_major_version", Datum::U16(2)),
        ("binary_format_minor_version", Datum::U16(0)),
        ("build_epoch", Datum::U64(BUILD_EPOCH)),
        ("database_type", text(name)),
        ("description", Datum::Map(vec![("en", text("for tests"))])),
        ("ip_version", Datum::U16(6)),
        ("languages", Datum::List(vec![text("en")])),
        ("node_count", Datum::U32(u32::try_from(tree.nodes.len()).expect("a small tree"))),
        ("record_size", Datum::U16(32)),
    ]);
    let mut file = tree.bytes();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    write(&metadata, &mut file);
    file
}

/// When every database of this writer was built: 2026-03-04T04:53:20Z.
pub(crate) const BUILD_EPOCH: u64 = 1_772_600_000;

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Node(usize),
    Data(usize),
}

struct Tree {
    nodes: Vec<[Slot; 2]>,
}

impl Tree {
    fn insert(&mut self, address: u128, bits: u32, offset: usize) {
        let side = |depth: u32| usize::from(address >> (127 - depth) & 1 == 1);
        let mut node = 0;
        for depth in 0..bits - 1 {
            let slot = self.nodes[node][side(depth)];
            node = match slot {
                Slot::Node(next) => next,
                // What was said of the whole holds for both halves.
                Slot::Empty | Slot::Data(_) => {
                    let next = self.nodes.len();
                    self.nodes.push([slot; 2]);
                    self.nodes[node][side(depth)] = Slot::Node(next);
                    next
                }
            };
        }
        self.nodes[node][side(bits - 1)] = Slot::Data(offset);
    }

    fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let record = |slot: &Slot| match slot {
            Slot::Empty => count,
            Slot::Node(node) => *node,
            Slot::Data(offset) => count + 16 + offset,
        };
        let bytes = |slot| u32::try_from(record(slot)).expect("a small tree").to_be_bytes();
        self.nodes.iter().flatten().flat_map(bytes).collect()
    }
}

fn write(datum: &Datum, out: &mut Vec<u8>) {
    match datum {
        Datum::Text(text) => {
            head(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Datum::U16(number) => write_number(5, &number.to_be_bytes(), out),
        Datum::U32(number) => write_number(6, &number.to_be_bytes(), out),
        Datum::U64(number) => write_number(9, &number.to_be_bytes(), out),
        Datum::List(values) => {
            head(11, values.len(), out);
            values.iter().for_each(|value| write(value, out));
        }
        Datum::Map(members) => {
            head(7, members.len(), out);
            for (name, value) in members {
                write(&text(name), out);
                write(value, out);
            }
        }
    }
}

/// A number without the zeros before it.
fn write_number(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let used = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    head(kind, used.len(), out);
    out.extend(used);
}

/// A field's type and length: types above 7 have a byte of their own, and so have lengths above 28.
fn head(kind: u8, length: usize, out: &mut Vec<u8>) {
    let short = |number: usize| u8::try_from(number).expect("a small field");
    let (low, long) = if length < 29 { (short(length), None) } else { (29, Some(short(length - 29))) };
    match kind {
        0..=7 => out.push(kind << 5 | low),
        _ => out.extend([low, kind - 7]),
    }
    out.extend(long);
}
