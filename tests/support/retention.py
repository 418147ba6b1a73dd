"""The retention job over a state database, by the shipped rules."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cache
from typing import Any

from cloud.model.data_rule import DAY_MS, DataRules
from cloud.model.database import Database
from cloud.model.load_data_rules import load_data_rules
from cloud.model.retention import RetentionRun
from cloud.retention.job import RetentionJob
from cloud.retention.pseudonyms import Pseudonyms
from cloud.settings import Settings, days_of
from protocols.clock import Clock

__all__ = ["DAY_MS", "carry_out", "make_job", "shipped_rules"]


@cache
def shipped_rules() -> DataRules:
    """Read the rules, with the settings' defaults."""
    return load_data_rules(days_of(Settings()))


async def no_pause(_seconds: float) -> None:
    """Wait for nothing."""


def make_job(
    databases: Mapping[str, Database],
    clock: Clock,
    *,
    rules: DataRules | None = None,
    holds: Collection[str] = (),
    **others: Any,
) -> RetentionJob:
    """Make a job that does not pause."""
    return RetentionJob(
        rules=rules or shipped_rules(),
        databases=databases,
        pseudonyms=Pseudonyms(b"k" * 32),
        clock=clock,
        holds=holds,
        **{"pause": no_pause} | others,
    )


async def carry_out(
    state: Database,
    clock: Clock,
    *,
    after: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
) -> RetentionRun:
    """Run it once."""
    return await make_job({"state": state}, clock, after=after).run()
