"""What is wrong with a captured document or event, said so that its sender can repair it."""

from typing import Literal

from msgspec import Struct


class CaptureFault(Struct, frozen=True, kw_only=True):
    """One fault at one place."""

    pointer: str
    """JSON pointer into the captured document (RFC 6901); of XML, into its JSON form."""
    rule: str
    """A closed word for what was broken, such as `missing_property`, `bad_check_digit`."""
    expected: str
    found: str
    """At most 200 characters of it."""
    severity: Literal["error", "warning"] = "error"
    """`error`: the text of the standard forbids it, and the event is refused; `warning`: it is
    told to the sender and taken."""

    def __str__(self) -> str:
        return f"{self.pointer}: expected {self.expected}, found {self.found}"
