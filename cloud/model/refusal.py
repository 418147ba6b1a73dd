"""What a broker refused."""

from typing import Literal

import msgspec

RefusalKind = Literal["publish", "subscribe", "certificate"]
"""Wrote where it may not; asked to read what is not meant for it; came with a bad certificate."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The same thing refused to the same party, once or many times."""

    kind: RefusalKind
    who: str
    """A gateway id; the address where the certificate told no name that can be believed."""
    what: str
    """The topic or the filter, or what is wrong with the certificate."""
    first_at: int
    last_at: int
    count: int = 1
