"""The error tree, named by what the caller should do.

SuyuanError
├── FixConfiguration   a file is wrong: show every fault, exit 2
├── RefuseInput        this input is bad: keep it as a dead letter, count it, go on
├── RetryLater         nothing is wrong with the input: try the same again
└── StopService        going on would lose or bend data: stop and say why
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one file, as its author must see it."""

    file: str
    key: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: expected {self.expected}, found {self.found}"


class SuyuanError(Exception):
    """Root of every error that this project raises on purpose."""


class FixConfiguration(SuyuanError):
    """A configuration or data file has faults; all of them are carried."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class RefuseInput(SuyuanError):
    """An input from outside is refused; `reason` is a closed word fit for a metric label."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class RetryLater(SuyuanError):
    """A resource is away for now; the same call may succeed later."""


class StopService(SuyuanError):
    """The process must stop: going on would lose or falsify data."""
