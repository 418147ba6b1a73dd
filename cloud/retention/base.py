"""What others need of the rules of data."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloud.model.data_rule import DataRules, Open
from cloud.model.open_data import OpenTable
from cloud.model.retention import RetentionRun


class OpenData(Protocol):
    """What is for everybody."""

    @property
    def kinds(self) -> Mapping[str, Open]:
        """What there is, by name."""
        ...

    async def table(self, name: str) -> OpenTable | None:
        """Return a table as it was a few minutes ago at most."""
        ...


@dataclass(frozen=True, kw_only=True)
class RulesOfData:
    """What holds for data, and what comes of it."""

    rules: DataRules
    runs: Callable[[int], Awaitable[Sequence[RetentionRun]]]
    """So many of the last runs of the retention job, newest first."""
    open: OpenData
