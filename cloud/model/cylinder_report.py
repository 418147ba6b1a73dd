"""A message to the regulator of gas cylinders."""

from typing import Literal

from msgspec import Struct

ReportState = Literal["lacking", "waiting", "sent", "refused", "given_up"]
"""`lacking`: a required field is not known, so it is not sent; `refused`: they will not have it;
`given_up`: nobody answered for about a day."""


class CylinderReport(Struct, frozen=True, kw_only=True):
    """A message, and what became of it. Moments are ms since 1970 UTC."""

    id: int
    """Larger is later made."""
    key: str
    """By which the other side knows it again."""
    kind: str
    version: str
    asset_id: str
    filler: str
    state: ReportState
    made_at: int
    ended_at: int | None
    retry_at: int | None
    tries: int
    answer: str
    """Their receipt, why it was not taken, or what it lacks."""
