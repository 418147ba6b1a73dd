"""Words on pages of cylinders: what the rules call things, and names of organisations."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from cloud.api.base import Services
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.cylinders.book import Gas, Kind, ReasonRule, RuleBook


class _Trouble(Struct, frozen=True):
    """What a filling place itself lacks: a reason of gates that the rules do not know."""

    id: str
    title: str
    title_zh: str
    do: str
    do_zh: str


class _OfGates(Struct, frozen=True):
    schema: Literal[1]
    troubles: tuple[_Trouble, ...]
    blocked: tuple[_Trouble, ...]


class CylinderWords:
    """Names things by their ids; what the rules do not know stays as it is."""

    def __init__(self, rules: RuleBook, language: str) -> None:
        self._zh = language == "zh"
        self._kinds, self._gases = self._titles(rules.kinds), self._titles(rules.gases)
        self._reasons = self._titles((*_troubles(), *rules.reasons))

    def kind(self, id_: str) -> str:
        """Return the name of a kind of shell."""
        return self._kinds.get(id_, id_)

    def gas(self, id_: str) -> str:
        """Return the name of a gas."""
        return self._gases.get(id_, id_)

    def reason(self, id_: str) -> str:
        """Return what a reason of a verdict says."""
        return self._reasons.get(id_, id_)

    def _titles(self, some: Iterable[Kind | Gas | ReasonRule | _Trouble]) -> Mapping[str, str]:
        return {one.id: one.title_zh if self._zh else one.title for one in some}


def organisation_names(services: Services, ids: Iterable[str]) -> dict[str, str]:
    """Return names by id; one that is not known keeps its id."""
    known = ((one, services.organisations.peek(one)) for one in ids)
    return {one: organisation.name if organisation else one for one, organisation in known}


@lru_cache(maxsize=1)
def _troubles() -> tuple[_Trouble, ...]:
    ((path, _),) = data_files("interlock", None)
    return load_toml(path, _OfGates).troubles
