"""What a run of the retention job did."""

from typing import Literal

import msgspec

from cloud.model.data_rule import Action

Outcome = Literal["done", "uncounted", "elsewhere", "not_here", "held"]
"""Carried out; by a store that does not count; left to the store's own way; the database is not on
this machine; all of it is kept for what is on hold."""


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for one step of a rule."""

    rule: str
    table: str
    do: Action
    since: str
    before: int
    """Rows older than this were due, ms since 1970."""
    rows: int = 0
    outcome: Outcome = "done"


class RetentionRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run, under way, cut off or ended."""

    id: int
    started_at: int
    ended_at: int
    """0: under way, or cut off; the next one goes on with it."""
    report: tuple[StepReport, ...]
