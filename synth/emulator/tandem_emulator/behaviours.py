"""The list of restored behaviours, in the order in which they are applied.

The order is part of the design: later modules wrap what earlier ones replaced (replicas are created
from a table that already has its settings; permission checks wrap handlers that already work).
"""

from __future__ import annotations

from types import ModuleType

from tandem_emulator import (
    alarm_actions,
    api_cors,
    api_event_integrations,
    api_permissions,
    call_record,
    cloudformation_alarms,
    cloudformation_attributes,
    cloudformation_change_set_ids,
    cloudformation_existing_names,
    cloudformation_physical_names,
    cloudformation_placeholders,
    cloudformation_stack_events,
    cloudformation_stack_states,
    cloudformation_types,
    condition_keys,
    event_bus_cross_region,
    event_source_permissions,
    event_target_dead_letters,
    event_target_queues,
    function_logs,
    function_processes,
    global_table_replicas,
    hosted_zone_records,
    kms_encrypted_resources,
    lambda_async_targets,
    lambda_settings,
    local_api,
    log_group_keys,
    put_events_limits,
    queue_mapping,
    refusals,
    region_outage,
    role_boundaries,
    runtime_api_latency,
    schedules,
    secret_references,
    secure_transport,
    stream_mapping,
    strong_tables,
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
    queue_mapping,
    table_extras,
    global_table_replicas,
    strong_tables,
    lambda_settings,
    api_cors,
    api_permissions,
    api_event_integrations,
    schedules,
    secret_references,
    role_boundaries,
    cloudformation_types,
    cloudformation_alarms,
    cloudformation_placeholders,
    hosted_zone_records,
    cloudformation_attributes,
    cloudformation_change_set_ids,
    cloudformation_existing_names,
    cloudformation_physical_names,
    cloudformation_stack_events,
    cloudformation_stack_states,
    secure_transport,
    event_source_permissions,
    function_logs,
    alarm_actions,
    log_group_keys,
    refusals,
    condition_keys,
    kms_encrypted_resources,
    region_outage,
    call_record,
    local_api,
)


def apply_all() -> None:
    for module in ALL:
        module.apply()
