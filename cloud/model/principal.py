"""Who asks, and how far what he may do reaches."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from cloud.model.asset import Asset

BY_CHARS_MAX = 64
Kind = Literal["account", "api_key", "device", "platform", "token", "link"]


class Remit(msgspec.Struct, frozen=True):
    """What an office looks after: districts and categories, None for all of them."""

    districts: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    unplaced: bool = False
    """Also what nobody has placed in a district yet, of any category."""

    def admits(self, asset: Asset) -> bool:
        """Tell whether the asset is of this remit; one only heard of has no place and no kind."""
        if not asset.registered:
            return self.unplaced and not asset.district
        return self.admits_place(asset.district, asset.category)

    def admits_place(self, district: str, category: str) -> bool:
        """Tell whether registered assets of a district and a category are of this remit."""
        if self.unplaced and not district:
            return True
        in_district = self.districts is None or district in self.districts
        return in_district and (self.categories is None or category in self.categories)


class Scope(msgspec.Struct, frozen=True):
    """What a call may touch: the union of its parts; without any part, nothing."""

    everything: bool = False
    remits: tuple[Remit, ...] = ()
    organisations: frozenset[str] = frozenset()
    """What names one of these as a party."""
    account: int | None = None
    """What belongs to this account."""

    def __bool__(self) -> bool:
        """Tell whether anything at all may be touched."""
        narrow = self.remits or self.organisations or self.account is not None
        return self.everything or bool(narrow)

    def admits(self, asset: Asset) -> bool:
        """Tell whether an asset may be touched; `cloud.model.visible` says the same in SQL."""
        if self.everything or not self.organisations.isdisjoint(asset.parties.values()):
            return True
        return any(remit.admits(asset) for remit in self.remits)

    def admits_place(self, district: str, category: str) -> bool:
        """Tell whether any registered asset of a district and a category may be touched."""
        return self.everything or any(one.admits_place(district, category) for one in self.remits)

    def __or__(self, other: "Scope") -> "Scope":
        """Return the union."""
        if self.everything or other.everything:
            return EVERYTHING
        return Scope(
            remits=tuple(dict.fromkeys(self.remits + other.remits)),
            organisations=self.organisations | other.organisations,
            account=self.account if self.account is not None else other.account,
        )


EVERYTHING = Scope(everything=True)
NOTHING = Scope()


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, proven."""

    kind: Kind
    id: str
    """Such as `account:12`, `key:7`, `device:4f…`, `token:admin`; never changes, at most 64."""
    by: str
    """How it is written into records for people, at most 64 characters."""
    organisation: str | None = None
    account: int | None = None
    may: Mapping[str, Scope]
    """By call, as firmware_config/access/calls.toml names it; what is missing is refused."""

    def scope(self, call: str) -> Scope:
        """Return how far `call` reaches."""
        return self.may.get(call, NOTHING)

    def acting(self, kind: Kind, id_: str, by: str, calls: Iterable[str]) -> "Principal":
        """Return a program or a handheld that acts for this one, with no more than these calls."""
        one = self.only(calls)
        return msgspec.structs.replace(one, kind=kind, id=id_, by=by[:BY_CHARS_MAX])

    def only(self, calls: Iterable[str]) -> "Principal":
        """Return the same with no more than these calls."""
        kept = {call: self.may[call] for call in calls if call in self.may}
        return msgspec.structs.replace(self, may=kept)


class Granted(msgspec.Struct, frozen=True):
    """A call that its caller may make, and how far it reaches."""

    principal: Principal
    call: str
    scope: Scope

    @property
    def by(self) -> str:
        """How the caller is written into records."""
        return self.principal.by
