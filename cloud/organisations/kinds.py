"""Kinds of organisations and the city's departments, as data."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from cloud.model.organisation import Count, Quota
from cloud.model.permissions import Title, Word, load_categories, load_roles
from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.errors import Fault, FixConfiguration

Need = Literal["credit_code", "department", "districts", "categories"]


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of organisations."""

    id: Word
    title: Title
    title_zh: Title
    authority: bool = False
    """Looks after others; no office looks after it."""
    signs_up: bool = False
    """May ask to be let in by itself."""
    needs: tuple[Need, ...] = ()
    """What its file must hold."""
    quotas: Mapping[Quota, Count] = {}
    """What is not named has no bound."""


class Department(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A department of the city, and the categories that it looks after."""

    id: Word
    title: Title
    title_zh: Title
    categories: tuple[Word, ...]


class _Kinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    kind: tuple[Kind, ...]


class _Departments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    department: tuple[Department, ...]


@lru_cache(maxsize=1)
def load_kinds() -> Mapping[str, Kind]:
    """Return all kinds by id.

    Raises:
        FixConfiguration: with every fault, also a kind that a role is held in and that is missing.

    """
    path = data_root() / "access" / "organisation_kinds.toml"
    kinds = load_toml(path, _Kinds).kind
    faults = [Fault(str(path), *one) for one in _kind_faults(kinds)]
    if faults:
        raise FixConfiguration(faults)
    return {kind.id: kind for kind in kinds}


@lru_cache(maxsize=1)
def load_departments() -> Mapping[str, Department]:
    """Return all departments by id; FixConfiguration also for an unknown category."""
    path = data_root() / "access" / "departments.toml"
    departments, known = load_toml(path, _Departments).department, load_categories()
    faults = [
        Fault(str(path), f"department {one.id}", "categories of categories.toml", category)
        for one in departments
        for category in one.categories
        if category not in known
    ]
    faults += [Fault(str(path), *one) for one in _doubles(departments)]
    if faults:
        raise FixConfiguration(faults)
    return {one.id: one for one in departments}


def authorities() -> list[str]:
    """Return the kinds that no office looks after, sorted."""
    return sorted(kind.id for kind in load_kinds().values() if kind.authority)


def _kind_faults(kinds: tuple[Kind, ...]) -> Iterator[tuple[str, str, str]]:
    yield from _doubles(kinds)
    for kind in kinds:
        # Offices are narrowed by district and category: a firm without them would be nobody's.
        needed = {"districts", "categories"} - set(kind.needs)
        if not kind.authority and needed:
            yield f"kind {kind.id}.needs", "districts and categories", str(list(kind.needs))
        if kind.signs_up and (kind.authority or "credit_code" not in kind.needs):
            yield f"kind {kind.id}.signs_up", "a firm with a credit code", str(list(kind.needs))
    known = {kind.id for kind in kinds}
    held_in = {one for role in load_roles().values() for one in role.held_in}
    for missing in sorted(held_in - known):
        yield "kind", f"{missing}, which roles.toml names", "nothing"


def _doubles(items: tuple[Kind, ...] | tuple[Department, ...]) -> Iterator[tuple[str, str, str]]:
    ids = [one.id for one in items]
    for double in sorted({one for one in ids if ids.count(one) > 1}):
        yield double, "each id once", "a second one"
