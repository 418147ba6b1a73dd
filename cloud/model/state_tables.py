"""All tables of the state database together, whichever file they are written in."""

from cloud.model import (
    alarm_tables,
    cylinder_tables,
    desk_tables,
    exchange_tables,
    field_tables,
    fill_tables,
    handheld_tables,
    incident_tables,
    lift_tables,
    link_tables,
    people_tables,
    platform_tables,
    receiver_tables,
    report_tables,
    tables,
    trace_delivery_tables,
    trace_tables,
    watch_tables,
)

FILES = (
    *(tables, people_tables, trace_tables, trace_delivery_tables, link_tables, field_tables),
    alarm_tables,
    cylinder_tables,
    desk_tables,
    exchange_tables,
    fill_tables,
    handheld_tables,
    lift_tables,
    incident_tables,
    platform_tables,
    report_tables,
    receiver_tables,
    watch_tables,
)
"""Each adds its tables to the metadata when it is imported."""
state_metadata = tables.state_metadata
