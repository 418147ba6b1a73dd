"""Roles, calls and categories as data, and what they give to somebody: deny by default."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cloud.model.principal import EVERYTHING, NOTHING, Principal, Remit, Scope
from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.errors import Fault, FixConfiguration

Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
CallId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,23}\.[a-z][a-z0-9_]{0,23}\Z")]
Title = Annotated[str, Meta(min_length=1, max_length=100)]


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role, and in which kinds of organisations people may hold it."""

    id: Word
    title: Title
    title_zh: Title
    held_in: tuple[Word, ...]
    second_factor: bool = False
    """Who holds it comes in with a second factor only."""


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one may do, with the roles that may, by how far it reaches for them."""

    id: CallId
    title: Title
    title_zh: Title
    all: tuple[Word, ...] = ()
    remit: tuple[Word, ...] = ()
    remit_unplaced: tuple[Word, ...] = ()
    own: tuple[Word, ...] = ()
    self_: tuple[Word, ...] = msgspec.field(default=(), name="self")
    handheld: bool = False
    """Whether a handheld may make it for its account."""

    def roles(self) -> tuple[str, ...]:
        """Return every role that may, in whatever reach."""
        return (*self.all, *self.remit, *self.remit_unplaced, *self.own, *self.self_)


class Category(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A category of products, and the kinds of assets in it."""

    id: Word
    title: Title
    title_zh: Title
    kinds: tuple[Word, ...]


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Whose remit and own it is: of one account in its organisation."""

    organisation: str
    districts: frozenset[str] | None = None
    """None: the whole city."""
    categories: frozenset[str] | None = None
    """None: all of them."""
    account: int | None = None


class _Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    role: tuple[Role, ...]


class _Calls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    call: tuple[Call, ...]


class _Categories(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    category: tuple[Category, ...]


@lru_cache(maxsize=1)
def load_roles() -> Mapping[str, Role]:
    """Return all roles by id; FixConfiguration when the file is wrong."""
    path = data_root() / "access" / "roles.toml"
    return {role.id: role for role in load_toml(path, _Roles).role}


@lru_cache(maxsize=1)
def load_calls() -> Mapping[str, Call]:
    """Return all calls by id; FixConfiguration also for a role unknown or named twice."""
    path, known = data_root() / "access" / "calls.toml", load_roles()
    calls = load_toml(path, _Calls).call
    faults = [
        Fault(str(path), f"call {call.id}", "each role once, of roles.toml", role)
        for call in calls
        for role in call.roles()
        if role not in known or call.roles().count(role) > 1
    ]
    if faults:
        raise FixConfiguration(faults)
    return {call.id: call for call in calls}


@lru_cache(maxsize=1)
def load_categories() -> Mapping[str, Category]:
    """Return all categories by id; FixConfiguration when the file is wrong."""
    path = data_root() / "access" / "categories.toml"
    return {one.id: one for one in load_toml(path, _Categories).category}


@lru_cache(maxsize=1_024)
def category_of(kind: str) -> str:
    """Return the category of a kind of asset, empty when it has none."""
    return next((one.id for one in load_categories().values() if kind in one.kinds), "")


def permissions(roles: Iterable[str], reach: Reach) -> dict[str, Scope]:
    """Return what these roles may together, by call; only what reaches anything."""
    held = set(roles)
    found: dict[str, Scope] = {}
    for call in load_calls().values():
        scope = NOTHING
        for words, reached in _REACHES:
            if held.intersection(words(call)):
                scope |= reached(reach)
        if scope:
            found[call.id] = scope
    return found


def administrator(kind: Literal["token", "account"], id_: str, by: str) -> Principal:
    """Return one who holds the administrator's role without an account."""
    may = permissions(["administrator"], Reach(organisation="platform"))
    return Principal(kind=kind, id=id_, by=by, organisation="platform", may=may)


def _remit(reach: Reach, *, unplaced: bool = False) -> Scope:
    if reach.districts is None and reach.categories is None:
        return EVERYTHING
    return Scope(remits=(Remit(reach.districts, reach.categories, unplaced),))


def _self(reach: Reach) -> Scope:
    return NOTHING if reach.account is None else Scope(account=reach.account)


_REACHES: tuple[tuple[Callable[[Call], tuple[str, ...]], Callable[[Reach], Scope]], ...] = (
    (lambda call: call.all, lambda _: EVERYTHING),
    (lambda call: call.remit, _remit),
    (lambda call: call.remit_unplaced, lambda reach: _remit(reach, unplaced=True)),
    (lambda call: call.own, lambda reach: Scope(organisations=frozenset({reach.organisation}))),
    (lambda call: call.self_, _self),
)
