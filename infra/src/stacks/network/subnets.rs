//! Subnets in three zones and the way of each to the internet.

use cfn::ec2::{
    EIP, InternetGateway, NatGateway, Route, RouteTable, Subnet, SubnetRouteTableAssociation, VPC, VPCGatewayAttachment,
};
use cfn::{Handle, Resource};

use super::name_tag;
use crate::constructs::Scope;
use crate::environment::{Cidr, Nat, RegionSettings};
use crate::system::Subject;

/// Every address.
const ANYWHERE: &str = "0.0.0.0/0";

/// What other parts of the stack need of the subnets.
pub(super) struct Subnets {
    /// One in each zone.
    pub(super) private: Vec<Handle<Subnet>>,
    /// One for each private subnet.
    pub(super) private_routes: Vec<Handle<RouteTable>>,
}

/// Adds public and private subnets, gateways and routes.
pub(super) fn add(scope: &mut Scope<'_>, vpc: &Handle<VPC>, settings: &RegionSettings) -> Subnets {
    let gateway = scope.add("InternetGateway", InternetGateway::new().tags(name_tag(scope, "network")));
    let attachment = scope.add(
        "InternetGatewayAttachment",
        VPCGatewayAttachment::new(vpc.reference()).internet_gateway_id(gateway.reference()),
    );
    let public_routes =
        scope.add("PublicRoutes", RouteTable::new(vpc.reference()).tags(name_tag(scope, "network-public")));
    let route = Route::new(public_routes.reference())
        .destination_cidr_block(ANYWHERE)
        .gateway_id(gateway.reference())
        .depends_on(&attachment);
    scope.add("PublicDefaultRoute", route);

    let mut gateways: Vec<Handle<NatGateway>> = Vec::new();
    let mut subnets = Subnets { private: Vec::new(), private_routes: Vec::new() };
    for (zone, id) in (1..).zip(settings.zones) {
        let place = Place { zone, id, network: settings.network };
        let public = subnet(scope, vpc, place, Side::Public, &public_routes);
        if zone == 1 || scope.environment.network().nat == Nat::EachZone {
            gateways.push(nat_gateway(scope, zone, &public, &attachment));
        }
        // A table for each zone even with one gateway, so that adding gateways changes routes and nothing else.
        let routes = RouteTable::new(vpc.reference()).tags(name_tag(scope, &format!("network-private-{zone}")));
        let routes = scope.add(&format!("PrivateRoutes{zone}"), routes);
        let nearest = gateways.last().expect("the first zone has a gateway");
        scope.add(
            &format!("PrivateDefaultRoute{zone}"),
            Route::new(routes.reference()).destination_cidr_block(ANYWHERE).nat_gateway_id(nearest.reference()),
        );
        subnets.private.push(subnet(scope, vpc, place, Side::Private, &routes));
        subnets.private_routes.push(routes);
    }
    subnets
}

/// Where a subnet is.
#[derive(Clone, Copy)]
struct Place {
    /// Number of the zone, from 1.
    zone: u32,
    /// The zone's id.
    id: &'static str,
    /// Addresses of the whole network.
    network: Cidr,
}

/// Which way a subnet looks.
#[derive(Clone, Copy)]
enum Side {
    Public,
    Private,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Public => "Public",
            Self::Private => "Private",
        }
    }

    /// Load balancers of Kubernetes find their subnets by these tags (EKS user guide, "VPC and subnet considerations").
    fn load_balancer_tag(self) -> &'static str {
        match self {
            Self::Public => "kubernetes.io/role/elb",
            Self::Private => "kubernetes.io/role/internal-elb",
        }
    }

    /// Each private subnet has a sixteenth of the network, for pods take their addresses there; the public ones share
    /// the last sixteenth. Twelve sixteenths stay free.
    fn addresses(self, network: Cidr, zone: u32) -> Cidr {
        let part = match self {
            Self::Private => network.part(network.prefix() + 4, zone - 1),
            Self::Public => network.part(network.prefix() + 8, 240 + zone - 1),
        };
        part.expect("a region's network has 16 to 18 bits, and there are three zones")
    }
}

fn subnet(
    scope: &mut Scope<'_>,
    vpc: &Handle<VPC>,
    place: Place,
    side: Side,
    routes: &Handle<RouteTable>,
) -> Handle<Subnet> {
    let Place { zone, id, network } = place;
    let name = scope.environment.name(&format!("{}-{zone}", side.name().to_lowercase()));
    let subnet = Subnet::new(vpc.reference())
        .availability_zone_id(id)
        .cidr_block(side.addresses(network, zone).to_string())
        // A public address is asked for by name, never given by accident.
        .map_public_ip_on_launch(false)
        .tags([("Name", name), (side.load_balancer_tag(), "1".to_owned())]);
    let subnet = scope.add(&format!("{}Subnet{zone}", side.name()), subnet);
    scope.add(
        &format!("{}SubnetRoutes{zone}", side.name()),
        SubnetRouteTableAssociation::new(routes.reference(), subnet.reference()),
    );
    subnet
}

fn nat_gateway(
    scope: &mut Scope<'_>,
    zone: u32,
    subnet: &Handle<Subnet>,
    attachment: &Handle<VPCGatewayAttachment>,
) -> Handle<NatGateway> {
    let name = format!("nat-{zone}");
    let address = EIP::new().domain("vpc").tags(name_tag(scope, &name)).depends_on(attachment);
    let address = scope.add(&format!("NatAddress{zone}"), address);
    let logical_id = format!("NatGateway{zone}");
    let gateway = NatGateway::new()
        .allocation_id(address.allocation_id())
        .subnet_id(subnet.reference())
        .tags(name_tag(scope, &name))
        .depends_on(attachment);
    let gateway = scope.add(&logical_id, gateway);
    let id_output = format!("{logical_id}Id");
    scope.output(&id_output, &format!("NAT gateway of zone {zone}"), gateway.reference());
    scope.watch(&logical_id, Subject::NatGateway { id_output, zone });
    gateway
}
