"""The standard's lists, and this service's rules, as data: firmware_config/epcis/."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from protocols.border import load_toml
from protocols.epcis.tolerances import STANDARD, Rule, Tolerances
from protocols.epcis.units import Kind, Unit
from protocols.epcis.vocabulary import ValueList
from protocols.errors import Fault, FixConfiguration

LISTS = frozenset(
    (
        "bizStep",
        "disposition",
        "bizTransactionType",
        "sourceDestinationType",
        "errorReason",
        "component",
        "exception",
        "measurementType",
    )
)
"""Lists of standard values that events draw on."""


class KnownContext(Struct, frozen=True, kw_only=True):
    """What a JSON-LD context at some addresses declares."""

    addresses: tuple[str, ...]
    prefixes: Mapping[str, str]
    terms: tuple[str, ...] = ()
    """Protected: no other context gives them another meaning."""
    epcis: bool = False
    """It is that of EPCIS."""


class Standard(Struct, frozen=True, kw_only=True):
    """What documents are held against."""

    lists: Mapping[str, ValueList]
    kinds: Mapping[str, str]
    """Kind of unit by full name of the measurement type."""
    units: Mapping[str, Unit]
    """By code."""
    kind_of_unit: Mapping[str, str]
    """By code."""
    contexts: Mapping[str, KnownContext]
    """By address."""
    prefixes: Mapping[str, str]
    """Of the EPCIS context."""
    terms: frozenset[str]
    """Of the EPCIS context."""
    rules: Mapping[str, Rule]
    severities: Mapping[str, str]
    """By rule, before any tolerance."""

    def convert(self, value: float, uom: str) -> tuple[str, float] | None:
        """Convert to the base unit of the unit's kind.

        Returns:
            The kind and the value in its base unit; None for a unit that is not known.

        """
        unit = self.units.get(uom)
        return None if unit is None else (self.kind_of_unit[uom], unit.to_base(value))


class _Vocabulary(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    lists: tuple[ValueList, ...]
    kinds: Mapping[str, str]


class _Contexts(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    contexts: tuple[KnownContext, ...]


class _Units(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    kinds: tuple[Kind, ...]


class _Rules(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    rules: tuple[Rule, ...]


def load_standard(folder: Path) -> Standard:
    """Read `firmware_config/epcis`.

    Raises:
        FixConfiguration: with the faults of its files.

    """
    vocabulary = load_toml(folder / "vocabulary.toml", _Vocabulary)
    contexts = load_toml(folder / "contexts.toml", _Contexts).contexts
    kinds = load_toml(folder / "units.toml", _Units).kinds
    rules = load_toml(folder / "rules.toml", _Rules).rules
    faults = [
        *_repeated(folder / "units.toml", (unit.code for kind in kinds for unit in kind.units)),
        *_repeated(folder / "rules.toml", (rule.id for rule in rules)),
        *_vocabulary_faults(folder / "vocabulary.toml", vocabulary, {kind.id for kind in kinds}),
    ]
    epcis = [context for context in contexts if context.epcis]
    if len(epcis) != 1:
        found = str(len(epcis))
        faults.append(Fault(str(folder / "contexts.toml"), "epcis", "one EPCIS context", found))
    if faults:
        raise FixConfiguration(faults)
    lists = {one.id: one for one in vocabulary.lists}
    return Standard(
        lists=lists,
        kinds={
            lists["measurementType"].by_word[name]: kind for name, kind in vocabulary.kinds.items()
        },
        units={unit.code: unit for kind in kinds for unit in kind.units},
        kind_of_unit={unit.code: kind.id for kind in kinds for unit in kind.units},
        contexts={address: one for one in contexts for address in one.addresses},
        prefixes=epcis[0].prefixes,
        terms=frozenset(epcis[0].terms),
        rules={rule.id: rule for rule in rules},
        severities={rule.id: rule.severity for rule in rules},
    )


def load_tolerances(path: Path, standard: Standard) -> Tolerances:
    """Read one file of `firmware_config/epcis/tolerances`.

    Raises:
        FixConfiguration: with all its faults, such as a rule that is not known or is fixed.

    """
    found = load_toml(path, Tolerances)
    faults = []
    if found.id != path.stem:
        faults.append(Fault(str(path), "id", f"the file's name, {path.stem}", found.id))
    for word, severity in found.severities.items():
        rule = standard.rules.get(word)
        if rule is None:
            faults.append(Fault(str(path), f"severities.{word}", "a rule of rules.toml", word))
        elif rule.fixed and severity != "error":
            expected = "error: the rule is fixed"
            faults.append(Fault(str(path), f"severities.{word}", expected, severity))
    if faults:
        raise FixConfiguration(faults)
    return found


def load_all_tolerances(
    standard: Standard, shipped: Path, overlay: Path | None = None
) -> dict[str, Tolerances]:
    """Read what is shipped (`firmware_config/epcis/tolerances`), and a site's own; by id.

    Raises:
        FixConfiguration: with all faults of all files.

    """
    found, faults = {STANDARD.id: STANDARD}, list[Fault]()
    for folder in (shipped, overlay):
        for path in sorted(folder.glob("*.toml")) if folder is not None else ():
            try:
                one = load_tolerances(path, standard)
            except FixConfiguration as error:
                faults += error.faults
            else:
                found[one.id] = one
    if faults:
        raise FixConfiguration(faults)
    return found


def _repeated(path: Path, names: Iterable[str]) -> list[Fault]:
    seen: set[str] = set()
    faults = []
    for name in names:
        if name in seen:
            faults.append(Fault(str(path), name, "each one once", "it again"))
        seen.add(name)
    return faults


def _vocabulary_faults(path: Path, vocabulary: _Vocabulary, kinds: set[str]) -> list[Fault]:
    lists = {one.id: one for one in vocabulary.lists}
    if set(lists) != LISTS or len(vocabulary.lists) != len(LISTS):
        expected = f"the lists {', '.join(sorted(LISTS))}"
        return [Fault(str(path), "lists", expected, ", ".join(one.id for one in vocabulary.lists))]
    faults = [fault for one in vocabulary.lists for fault in _repeated(path, one.values)]
    for name, kind in vocabulary.kinds.items():
        if name not in lists["measurementType"].by_word:
            faults.append(Fault(str(path), f"kinds.{name}", "a measurement type", name))
        if kind not in kinds:
            faults.append(Fault(str(path), f"kinds.{name}", "a kind of units.toml", kind))
    return faults
