//! What can be reached over the network: from where, by which protocol, at which ports.

use std::fmt;

use serde_json::Value;

use super::cidr::Cidr;
use super::pattern::Pattern;
use crate::model::code;
use crate::pieces::Resolve;
use crate::template::Resource;

/// One way in or out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// `ingress`, `egress`, or what else is open.
    pub(crate) kind: &'static str,
    /// None for all protocols.
    pub(crate) protocol: Option<String>,
    /// None for all ports.
    pub(crate) ports: Option<(i64, i64)>,
    pub(crate) peer: Peer,
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
            && (self.protocol.is_none() || self.protocol == other.protocol)
            && match (self.ports, other.ports) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some((from, to)), Some((other_from, other_to))) => from <= other_from && other_to <= to,
            }
            && match (&self.peer, &other.peer) {
                (Peer::Addresses(outer, _), Peer::Addresses(inner, _)) => outer.covers(*inner),
                (Peer::Everybody, _) => true,
                (left, right) => left == right,
            }
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
        Self { kind, protocol: None, ports: None, peer: Peer::Everybody }
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
            None => Some(Self { kind, protocol: None, ports: None, peer: Peer::Opaque(setting.to_string()) }),
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

    fn of(value: &Value, resolve: Resolve<'_>) -> Self {
        Self::addresses(&Pattern::literal(value, resolve).to_string())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.protocol.is_some() || self.ports.is_some() {
            write!(f, " {}", self.protocol.as_deref().map_or_else(|| "any protocol".to_owned(), code))?;
        }
        match self.ports {
            Some((from, to)) if from == to => write!(f, " port {from}")?,
            Some((from, to)) => write!(f, " ports {from}-{to}")?,
            None => {}
        }
        match &self.peer {
            Peer::Addresses(_, text) | Peer::Opaque(text) => write!(f, ", {}", code(text)),
            Peer::Everybody => Ok(()),
        }
    }
}

/// A rule of a security group, as a value or as a resource's properties.
pub(crate) fn rules(kind: &'static str, rule: &Value, resolve: Resolve<'_>) -> Vec<Reach> {
    let text = |name: &str| rule.get(name).map(|value| Pattern::literal(value, resolve).to_string());
    let protocol = text("IpProtocol").unwrap_or_else(|| "-1".to_owned()).to_ascii_lowercase();
    let protocol = match protocol.as_str() {
        "-1" | "all" => None,
        "6" => Some("tcp".to_owned()),
        "17" => Some("udp".to_owned()),
        "1" => Some("icmp".to_owned()),
        "58" => Some("icmpv6".to_owned()),
        other => Some(other.to_owned()),
    };
    let port = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let ports = match (port("FromPort"), port("ToPort")) {
        _ if protocol.is_none() => None,
        (Some(-1), _) | (None, _) => None,
        (Some(0), Some(65_535)) => None,
        (Some(from), to) => Some((from, to.unwrap_or(from))),
    };
    const PEERS: [&str; 7] = [
        "CidrIp",
        "CidrIpv6",
        "SourcePrefixListId",
        "SourceSecurityGroupId",
        "SourceSecurityGroupName",
        "DestinationPrefixListId",
        "DestinationSecurityGroupId",
    ];
    let peers = PEERS.iter().filter_map(|name| rule.get(*name)).map(|value| Peer::of(value, resolve));
    let mut rules: Vec<Reach> = peers.map(|peer| Reach { kind, protocol: protocol.clone(), ports, peer }).collect();
    if rules.is_empty() {
        // What can't be read equals only itself.
        rules.push(Reach { kind, protocol, ports, peer: Peer::Opaque(rule.to_string()) });
    }
    rules
}

/// Where a Kubernetes API answers the internet.
pub(crate) fn endpoint(cluster: Resource<'_>, resolve: Resolve<'_>) -> Vec<Reach> {
    let is_public = cluster
        .at("ResourcesVpcConfig/EndpointPublicAccess")
        .is_none_or(|value| Pattern::literal(value, resolve).to_string() != "false");
    if !is_public {
        return Vec::new();
    }
    let reach =
        |peer| Reach { kind: "public endpoint", protocol: Some("tcp".to_owned()), ports: Some((443, 443)), peer };
    match cluster.at("ResourcesVpcConfig/PublicAccessCidrs").and_then(Value::as_array) {
        Some(blocks) => blocks.iter().map(|block| reach(Peer::of(block, resolve))).collect(),
        None => vec![reach(Peer::addresses("0.0.0.0/0"))],
    }
}
