"""Documents and events of the JSON binding, from outside to valid events (EPCIS 2.0, 9.5)."""

from collections.abc import Mapping, Sequence
from typing import Any

from protocols.epcis.document import Document, Reading
from protocols.epcis.standard import Standard
from protocols.epcis.tolerances import Tolerances

Contexts = Sequence[str | Mapping[str, Any]]


def read_document(
    data: bytes | Mapping[str, Any],
    standard: Standard,
    *,
    now_us: int,
    tolerances: Tolerances | None = None,
) -> Document:
    """Read an EPCISDocument or an EPCISQueryDocument.

    Nothing is raised for what a sender can do wrong, and no address is ever opened.

    Args:
        data: UTF-8 JSON, or what another binding became in the shape of the JSON binding.
        standard: vocabulary, contexts, units and rules; it keeps bounded caches, so load it once.
        now_us: the receiver's clock, us since 1970 UTC.
        tolerances: of the sending partner; None: the standard as it stands.

    """
    raise NotImplementedError


def read_event(
    data: bytes | Mapping[str, Any],
    standard: Standard,
    *,
    now_us: int,
    contexts: Contexts = (),
    tolerances: Tolerances | None = None,
) -> Reading:
    """Read one event, as POST /events brings it.

    Args:
        data: as of `read_document`; its own `@context` comes behind `contexts`.
        standard: as of `read_document`.
        now_us: as of `read_document`.
        contexts: that hold for it besides its own, as the binding of the call says.
        tolerances: as of `read_document`.

    """
    raise NotImplementedError
