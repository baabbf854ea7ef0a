"""Records in a hosted zone that is not of this account.

AWS: a record needs its hosted zone, and zones are older than the systems whose names they hold.
Stock: a record in an unknown zone fails its stack. Nobody makes zones here, so it always would.
Here: such a record is accepted and does nothing, as nothing here asks DNS. Records in a zone that a
stack made are kept, and a zone that is referred to by its name must be here.
"""

from __future__ import annotations

from typing import Any

from ministack.services import route53
from ministack.services.cloudformation import provisioners

from tandem_emulator.cloudformation_handlers import Created, Properties, wrap

TYPE = "AWS::Route53::RecordSet"


def apply() -> None:
    wrap(TYPE, create=create, update=update)


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    return stock() if zone_is_here(properties) else elsewhere(properties)


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    return stock() if zone_is_here(new) else elsewhere(new)


def zone_is_here(properties: Properties) -> bool:
    zone_id = provisioners._r53_normalize_hosted_zone_id(properties.get("HostedZoneId"))
    return not zone_id or zone_id in route53._zones


def elsewhere(properties: Properties) -> Created:
    name = str(provisioners._r53_record_set_build_rs(properties)["Name"])
    return name, {"Name": name}
