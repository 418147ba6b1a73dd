"""The gateways of each place and each organisation: what a scope sees of them, without a search."""

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from cloud.model.asset import Asset
from cloud.model.principal import Scope

Key = TypeVar("Key")
Place = tuple[str, str]
"""District and category, each empty for none."""


class GatewaySets:
    """The gateways that registered assets name, or are, counted by who sees those assets."""

    def __init__(self) -> None:
        self._at: dict[Place, Counter[str]] = {}
        self._of: dict[str, Counter[str]] = {}  # by organisation

    def add(self, asset: Asset) -> None:
        """Take in an asset."""
        names = list(_gateways(asset))
        if not names:
            return
        self._at.setdefault(_place(asset), Counter()).update(names)
        for organisation in set(asset.parties.values()):
            self._of.setdefault(organisation, Counter()).update(names)

    def remove(self, asset: Asset) -> None:
        """Take out an asset, as it was when it was taken in."""
        names = list(_gateways(asset))
        if not names:
            return
        _take_out(self._at, _place(asset), names)
        for organisation in set(asset.parties.values()):
            _take_out(self._of, organisation, names)

    def seen_by(self, scope: Scope) -> frozenset[str]:
        """Return the gateways that a scope of less than everything admits."""
        of = (self._of.get(organisation, ()) for organisation in scope.organisations)
        at = (names for place, names in self._at.items() if scope.admits_place(*place))
        return frozenset[str]().union(*of, *at)


def _place(asset: Asset) -> Place:
    return asset.district, asset.category


def _gateways(asset: Asset) -> Iterator[str]:
    yield from asset.gateways
    scheme, _, code = asset.asset_id.partition(":")
    if scheme == "gateway":
        yield code


def _take_out(sets: dict[Key, Counter[str]], key: Key, names: list[str]) -> None:
    counted = sets[key]
    for name in names:
        counted[name] -= 1
        if not counted[name]:
            del counted[name]
    if not counted:
        del sets[key]
