//! The API's names: the environment's domain, which every region answers to, and one that leads to this region only.
//!
//! The records that make them known are in `routing`.

use cfn::apigatewayv2::domain_name::DomainNameConfiguration;
use cfn::apigatewayv2::{self, ApiMapping, DomainName, Stage};
use cfn::certificatemanager::Certificate;
use cfn::certificatemanager::certificate::DomainValidationOption;
use cfn::{Handle, Value};
use contracts::Region;

use crate::constructs::Scope;
use crate::environment::DomainSettings;

/// One of the API's two names.
pub(crate) struct Name {
    /// Logical id of the name, and the beginning of its mapping's.
    logical_id: &'static str,
    /// What it is, in words.
    what: &'static str,
    /// The output with the host name that records lead to.
    pub(crate) target_output: &'static str,
    /// The output with the hosted zone of that host name, which is API Gateway's.
    pub(crate) zone_output: &'static str,
}

impl Name {
    /// The environment's domain, which every region answers to.
    pub(crate) const SHARED: Self = Self {
        logical_id: "Domain",
        what: "the environment's domain",
        target_output: "RegionalDomainName",
        zone_output: "RegionalHostedZoneId",
    };

    /// The name of this region only.
    pub(crate) const OWN: Self = Self {
        logical_id: "RegionDomain",
        what: "the region's own name",
        target_output: "RegionDomainRegionalDomainName",
        zone_output: "RegionDomainRegionalHostedZoneId",
    };
}

/// The name that leads to `region` only, whatever the health of any region is.
pub(crate) fn of_region(domain: &DomainSettings, region: &Region) -> String {
    format!("{region}.{}", domain.name)
}

/// Adds both names with their certificate.
pub(super) fn add(
    scope: &mut Scope<'_>,
    domain: &DomainSettings,
    api: &Handle<apigatewayv2::Api>,
    stage: &Handle<Stage>,
) {
    let own = of_region(domain, scope.region);
    let names = [(Name::SHARED, domain.name.as_str()), (Name::OWN, own.as_str())];
    let certificate = certificate(scope, domain, &own);
    for (name, host) in names {
        let configuration = DomainNameConfiguration::new()
            .certificate_arn(certificate.reference())
            .endpoint_type("REGIONAL")
            .ip_address_type("dualstack")
            .security_policy("TLS_1_2");
        let declared = DomainName::new(host).domain_name_configurations([configuration]);
        let handle = scope.add(name.logical_id, declared);
        let mapping = ApiMapping::new(api.reference(), handle.reference(), Value::<String>::from(stage.reference()));
        scope.add(&format!("{}Mapping", name.logical_id), mapping);
        let target = format!("Where records of {} lead to", name.what);
        scope.output(name.target_output, &target, handle.regional_domain_name());
        let zone = format!("Hosted zone of where records of {} lead to", name.what);
        scope.output(name.zone_output, &zone, handle.regional_hosted_zone_id());
    }
}

/// A certificate for both names, which proves by records in the hosted zone that they are ours. Each region has its own,
/// with the same record for the domain: whoever comes second finds it there.
fn certificate(scope: &mut Scope<'_>, domain: &DomainSettings, own: &str) -> Handle<Certificate> {
    let proofs = [domain.name.as_str(), own]
        .map(|name| DomainValidationOption::new().domain_name(name).hosted_zone_id(&domain.hosted_zone));
    let certificate = Certificate::new(&domain.name)
        .subject_alternative_names([own])
        .validation_method("DNS")
        .domain_validation_options(proofs);
    scope.add("Certificate", certificate)
}
