"""The list of restored behaviours, in the order in which they are applied.

The order is part of the design: later modules wrap what earlier ones replaced (replicas are created
from a table that already has its settings; permission checks wrap handlers that already work).
"""

from __future__ import annotations

from types import ModuleType

from tandem_emulator import (
    api_cors,
    call_record,
    cloudformation_existing_names,
    cloudformation_physical_names,
    cloudformation_stack_events,
    cloudformation_stack_states,
    cloudformation_types,
    event_bus_cross_region,
    event_source_permissions,
    event_target_dead_letters,
    event_target_queues,
    function_processes,
    global_table_replicas,
    kms_encrypted_resources,
    lambda_async_targets,
    lambda_settings,
    local_api,
    put_events_limits,
    region_outage,
    runtime_api_latency,
    secret_references,
    secure_transport,
    stream_mapping,
    table_extras,
)

ALL: tuple[ModuleType, ...] = (
    function_processes,
    runtime_api_latency,
    put_events_limits,
    event_target_dead_letters,
    event_target_queues,
    lambda_async_targets,
    event_bus_cross_region,
    stream_mapping,
    table_extras,
    global_table_replicas,
    lambda_settings,
    api_cors,
    secret_references,
    cloudformation_types,
    cloudformation_existing_names,
    cloudformation_physical_names,
    cloudformation_stack_events,
    cloudformation_stack_states,
    secure_transport,
    event_source_permissions,
    kms_encrypted_resources,
    region_outage,
    call_record,
    local_api,
)


def apply_all() -> None:
    for module in ALL:
        module.apply()
