"""What an example of a call that changes something is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """One request that changes something, and about what its entry must be."""

    path: str
    subject: str
    """Or several, with spaces between."""
    body: Mapping[str, Any] = field(default_factory=dict)
    form: bool = False
    """A page's form rather than JSON."""
    media: str = ""
    """Of what is one line of JSON and not called so."""
    before: tuple[str, Mapping[str, Any]] | None = None
    """What must be posted first."""
    by: str = "token:admin"
    organisation: str = "platform"
    call: str = ""
    """Of a route that is open to everybody; else it is the route's own."""
