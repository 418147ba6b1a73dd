"""Single faults for valid EPCIS events and documents, each with the verdict that it deserves.

A fault changes one place. What it expects is written here by itself: the weights of rules.toml are
not read, so that a change of one is seen.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Told = tuple[str, str, Literal["error", "warning"]]
"""Pointer below the changed object, rule, severity."""
ALL = frozenset(
    {
        "ObjectEvent",
        "AggregationEvent",
        "AssociationEvent",
        "TransactionEvent",
        "TransformationEvent",
    }
)
FAMILY = frozenset({"AggregationEvent", "AssociationEvent"})
ORIGINS = frozenset({"ObjectEvent", "TransformationEvent"})
LISTS: Mapping[str, tuple[str, str]] = {
    "ObjectEvent": ("epcList", "quantityList"),
    "AggregationEvent": ("childEPCs", "childQuantityList"),
    "AssociationEvent": ("childEPCs", "childQuantityList"),
    "TransactionEvent": ("epcList", "quantityList"),
    "TransformationEvent": ("inputEPCList", "inputQuantityList"),
}
"""Where each event type names its objects, and its quantities."""


@dataclass(frozen=True)
class SingleFault:
    """One change of a valid event or document."""

    name: str
    change: Callable[[Json], None]
    told: tuple[Told, ...]
    """All that is told of it; nothing: the change is no fault."""
    types: frozenset[str] = ALL
    fits: Callable[[Json], bool] = lambda _: True

    @property
    def harmless(self) -> bool:
        """Tell whether what was changed is still to be taken."""
        return not any(severity == "error" for _, _, severity in self.told)

    def of(self, value: Json) -> Json:
        """Return a changed copy."""
        copy = deepcopy(value)
        self.change(copy)
        return copy


EVENT_FAULTS: list[SingleFault] = []


def faulty(
    name: str,
    changes: Mapping[str, Any],
    *told: Told,
    types: frozenset[str] = ALL,
    fits: Callable[[Json], bool] = lambda _: True,
) -> None:
    def change(event: Json) -> None:
        event.update(deepcopy(dict(changes)))

    EVENT_FAULTS.append(SingleFault(name, change, told, types, fits))


def without(
    name: str,
    *told: Told,
    types: frozenset[str] = ALL,
    fits: Callable[[Json], bool] = lambda _: True,
) -> None:
    def change(event: Json) -> None:
        event.pop(name, None)

    EVENT_FAULTS.append(SingleFault(f"without {name}", change, told, types, fits))
