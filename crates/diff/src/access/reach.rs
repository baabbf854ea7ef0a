//! What can be reached over the network: from where, by which protocol, at which ports.

use std::fmt;

use serde_json::Value;

use super::cidr::Cidr;
use super::pattern::Pattern;
use crate::model::code;
use crate::pieces::{Resolve, canonical, is_intrinsic, is_no_value};
use crate::template::Resource;

/// One way in or out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// `ingress`, `egress`, or what else is open.
    pub(crate) kind: &'static str,
    /// None for all protocols.
    pub(crate) protocol: Option<String>,
    pub(crate) ports: Ports,
    pub(crate) peer: Peer,
    /// The condition of its resource, where it isn't decided.
    pub(crate) condition: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    All,
    /// From, to. Of ICMP a type and a code.
    Range(i64, i64),
    /// What only CloudFormation knows: equals only itself.
    Opaque(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Addresses(Cidr, String),
    /// Whoever there is, where that isn't a matter of addresses.
    Everybody,
    /// A group, a prefix list, or what only CloudFormation knows: equals only itself.
    Opaque(String),
}

impl Reach {
    /// Whether whatever `other` lets through is let through here.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.condition.is_none() || self.condition == other.condition)
            && (self.protocol.is_none() || self.protocol == other.protocol)
            && match (&self.ports, &other.ports) {
                (Ports::All, _) => true,
                (Ports::Range(from, to), Ports::Range(other_from, other_to)) if !self.is_icmp() => {
                    from <= other_from && other_to <= to
                }
                (left, right) => left == right,
            }
            && match (&self.peer, &other.peer) {
                (Peer::Addresses(outer, _), Peer::Addresses(inner, _)) => outer.covers(*inner),
                (Peer::Everybody, _) => true,
                (left, right) => left == right,
            }
    }

    /// Whether ports are types and codes, which are no range.
    fn is_icmp(&self) -> bool {
        self.protocol.as_deref().is_some_and(|protocol| protocol.starts_with("icmp"))
    }

    /// Whether the whole internet gets in.
    pub(crate) fn is_world(&self) -> bool {
        match &self.peer {
            Peer::Addresses(cidr, _) => self.kind != "egress" && cidr.is_world(),
            Peer::Everybody => true,
            Peer::Opaque(_) => false,
        }
    }

    /// Something that is open to everybody.
    pub(crate) fn open(kind: &'static str) -> Self {
        Self { kind, protocol: None, ports: Ports::All, peer: Peer::Everybody, condition: None }
    }

    /// Something that a setting opens to everybody. One that only a deployment knows may.
    pub(crate) fn opened_by(
        kind: &'static str,
        setting: &Value,
        opens: impl Fn(&str) -> bool,
        resolve: Resolve<'_>,
    ) -> Option<Self> {
        let setting = Pattern::literal(setting, resolve);
        match setting.as_text() {
            Some(text) => opens(&text).then(|| Self::open(kind)),
            None => Some(Self {
                kind,
                protocol: None,
                ports: Ports::All,
                peer: Peer::Opaque(setting.to_string()),
                condition: None,
            }),
        }
    }
}

impl Peer {
    pub(crate) fn addresses(text: &str) -> Self {
        match Cidr::parse(text) {
            Some(cidr) => Self::Addresses(cidr, text.to_owned()),
            None => Self::Opaque(text.to_owned()),
        }
    }

    /// What can't be read.
    fn opaque(value: &Value, resolve: Resolve<'_>) -> Self {
        Self::Opaque(canonical(value, resolve).to_string())
    }

    fn of(value: &Value, resolve: Resolve<'_>) -> Self {
        Self::addresses(&Pattern::literal(value, resolve).to_string())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.protocol.is_some() || self.ports != Ports::All {
            write!(f, " {}", self.protocol.as_deref().map_or_else(|| "any protocol".to_owned(), code))?;
        }
        match &self.ports {
            Ports::Range(from, to) if from == to => write!(f, " port {from}")?,
            Ports::Range(from, to) => write!(f, " ports {from}-{to}")?,
            Ports::Opaque(text) => write!(f, " ports {}", code(text))?,
            Ports::All => {}
        }
        match &self.peer {
            Peer::Addresses(_, text) | Peer::Opaque(text) => write!(f, ", {}", code(text))?,
            Peer::Everybody => {}
        }
        self.condition.iter().try_for_each(|condition| write!(f, " if condition {}", code(condition)))
    }
}

/// A rule of a security group, as a value or as a resource's properties.
pub(crate) fn rules(kind: &'static str, rule: &Value, resolve: Resolve<'_>) -> Vec<Reach> {
    let given = |name: &str| rule.get(name).filter(|value| !is_no_value(value));
    let text = |name: &str| given(name).map(|value| Pattern::literal(value, resolve).to_string());
    let protocol = text("IpProtocol").unwrap_or_else(|| "-1".to_owned()).to_ascii_lowercase();
    let protocol = match protocol.as_str() {
        "-1" | "all" => None,
        "6" => Some("tcp".to_owned()),
        "17" => Some("udp".to_owned()),
        "1" => Some("icmp".to_owned()),
        "58" => Some("icmpv6".to_owned()),
        other => Some(other.to_owned()),
    };
    let ports = if protocol.is_none() { Ports::All } else { ports(text("FromPort"), text("ToPort")) };
    const PEERS: [&str; 7] = [
        "CidrIp",
        "CidrIpv6",
        "SourcePrefixListId",
        "SourceSecurityGroupId",
        "SourceSecurityGroupName",
        "DestinationPrefixListId",
        "DestinationSecurityGroupId",
    ];
    let peers = PEERS.iter().filter_map(|name| given(name)).map(|value| Peer::of(value, resolve));
    let mut rules: Vec<Reach> = peers
        .map(|peer| Reach { kind, protocol: protocol.clone(), ports: ports.clone(), peer, condition: None })
        .collect();
    if rules.is_empty() {
        // What can't be read equals only itself.
        rules.push(Reach { kind, protocol, ports, peer: Peer::opaque(rule, resolve), condition: None });
    }
    rules
}

fn ports(from: Option<String>, to: Option<String>) -> Ports {
    let Some(from) = from else { return Ports::All };
    let to = to.unwrap_or_else(|| from.clone());
    match (from.parse(), to.parse()) {
        (Ok(-1), Ok(_)) | (Ok(0), Ok(65_535)) => Ports::All,
        (Ok(from), Ok(to)) => Ports::Range(from, to),
        _ => Ports::Opaque(format!("{from}-{to}")),
    }
}

/// Where a Kubernetes API answers the internet.
pub(crate) fn endpoint(cluster: Resource<'_>, resolve: Resolve<'_>) -> Vec<Reach> {
    let reach = |peer| Reach {
        kind: "public endpoint",
        protocol: Some("tcp".to_owned()),
        ports: Ports::Range(443, 443),
        peer,
        condition: None,
    };
    let config = cluster.at("ResourcesVpcConfig").unwrap_or(&Value::Null);
    if is_intrinsic(config) {
        return vec![reach(Peer::opaque(config, resolve))];
    }
    let given = |name: &str| config.get(name).filter(|value| !is_no_value(value));
    let blocks = given("PublicAccessCidrs");
    if let Some(setting) = given("EndpointPublicAccess") {
        let setting = Pattern::literal(setting, resolve);
        match setting.as_text() {
            Some(text) if text == "false" => return Vec::new(),
            Some(_) => {}
            None => {
                let blocks = canonical(blocks.unwrap_or(&Value::Null), resolve);
                return vec![reach(Peer::Opaque(format!("{setting} {blocks}")))];
            }
        }
    }
    match blocks {
        Some(Value::Array(blocks)) => {
            let blocks = blocks.iter().filter(|block| !is_no_value(block));
            blocks.map(|block| reach(Peer::of(block, resolve))).collect()
        }
        // A parameter's list is one text.
        Some(blocks) => match Pattern::literal(blocks, resolve).as_text() {
            Some(text) => text.split(',').map(|block| reach(Peer::addresses(block.trim()))).collect(),
            None => vec![reach(Peer::opaque(blocks, resolve))],
        },
        None => vec![reach(Peer::addresses("0.0.0.0/0"))],
    }
}
