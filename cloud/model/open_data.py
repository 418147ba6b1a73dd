"""Open data as they leave: a table of counts, with what it is and when it was made."""

import msgspec

from cloud.model.data_rule import Open

OpenValue = str | int | bool | None


class OpenTable(msgspec.Struct, frozen=True, kw_only=True):
    """What is published of one kind at one moment."""

    about: Open
    columns: tuple[str, ...]
    rows: tuple[tuple[OpenValue, ...], ...]
    """A cell of fewer than SUPPRESSED_BELOW is not among them; a mean of fewer is None."""
    made_at: int
    complete: bool
    """False: there were more rows than are given out; the newest are here."""
