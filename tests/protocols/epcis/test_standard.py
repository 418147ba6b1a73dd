"""The data of firmware_config/epcis, and what is refused in it."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import protocols
from protocols.catalog.files import data_root
from protocols.epcis.standard import load_standard, load_tolerances
from protocols.errors import FixConfiguration
from tests.support.epcis_documents import epcis_data, standard

FOLDER = data_root() / "epcis"
STANDARD = standard()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "epcis"))


def _break(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_lists_are_complete() -> None:
    assert {name: len(one.values) for name, one in STANDARD.lists.items()} == {
        "bizStep": 41,
        "disposition": 33,
        "bizTransactionType": 13,
        "sourceDestinationType": 3,
        "errorReason": 2,
        "component": 14,
        "exception": 2,
        "measurementType": 72,
    }


def test_lists_and_prefixes_are_those_of_the_official_context() -> None:
    text = (epcis_data() / "api" / "epcis-context.jsonld").read_bytes()
    context = msgspec.json.decode(text)["@context"]
    reports = context["sensorElementList"]["@context"]["sensorReport"]["@context"]
    for name, terms in {
        "bizStep": context["bizStep"]["@context"],
        "disposition": context["disposition"]["@context"],
        "measurementType": reports["type"]["@context"],
        "component": reports["component"]["@context"],
        "exception": reports["exception"]["@context"],
    }.items():
        prefixes = {"cbv": context["cbv"], "gs1": context["gs1"]}
        full = {
            word: prefixes[compact.partition(":")[0]] + compact.partition(":")[2]
            for word, compact in terms.items()
        }
        assert STANDARD.lists[name].by_word == full
    assert all(context[name] == address for name, address in STANDARD.prefixes.items())
    assert {name for name in context if not name.startswith("@")} == {
        *STANDARD.terms,
        *STANDARD.prefixes,
    }


@pytest.mark.parametrize(
    ("value", "uom", "kind", "expected"),
    [
        (0.0, "CEL", "temperature", 273.15),
        (212.0, "FAH", "temperature", 373.15),
        (36.0, "KMH", "speed", 10.0),
        (2.0, "TNE", "mass", 2000.0),
        (50.0, "P1", "number", 0.5),
        (1.0, "DZN", "count", 12.0),
        (180.0, "DD", "angle", 3.141592653589793),
        (1.0, "PS", "pressure", 6894.757293168361),
        (3.6, "P71", "dose_equivalent_rate", 1e-6),
    ],
)
def test_units_convert(value: float, uom: str, kind: str, expected: float) -> None:
    found = STANDARD.convert(value, uom)
    assert found is not None
    assert found[0] == kind
    assert found[1] == pytest.approx(expected)
    assert STANDARD.units[uom].from_base(found[1]) == pytest.approx(value)


def test_unknown_unit_does_not_convert() -> None:
    assert STANDARD.convert(1.0, "ZZ9") is None


def _words(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _words(node.body)
        yield from _words(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _noted(path: Path) -> Iterator[str]:
    """Yield the rule words that a module notes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            at = {"note": 1, "Judged": 1, "Identifier": 1, "IdentifierFault": 0}.get(name)
            if at is not None and len(node.args) > at:
                yield from _words(node.args[at])
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "rule":
            yield from _words(node.value)


def test_rules_are_those_that_are_noted() -> None:
    folder = Path(protocols.__file__).parent
    noted = {
        word
        for path in (*folder.glob("epcis/*.py"), folder / "codes" / "epc_uri.py")
        for word in _noted(path)
    }
    assert set(STANDARD.rules) == noted


def test_rules_say_what_holds() -> None:
    assert all(rule.about.endswith(".") for rule in STANDARD.rules.values())


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("units.toml", 'code = "CMT"', 'code = "MTR"', "each one once"),
        ("rules.toml", 'id = "too_deep"', 'id = "bad_json"', "each one once"),
        ("vocabulary.toml", '"arriving"', '"accepting"', "each one once"),
        ("vocabulary.toml", 'id = "errorReason"', 'id = "reason"', "the lists"),
        ("vocabulary.toml", 'Angle = "angle"', 'Angel = "angle"', "a measurement type"),
        ("vocabulary.toml", 'Angle = "angle"', 'Angle = "angel"', "a kind of units.toml"),
        ("contexts.toml", "epcis = true", "epcis = false", "one EPCIS context"),
        ("contexts.toml", "epcis = true", "epcs = true", "one of the keys"),
    ],
)
def test_faults_in_the_data_are_told(copy: Path, name: str, old: str, new: str, told: str) -> None:
    _break(copy / name, old, new)
    with pytest.raises(FixConfiguration, match=told):
        load_standard(copy)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('id = "other"\n', "the file's name, strict"),
        ('[severities]\nno_rule = "error"\n', "a rule of rules.toml"),
        ('[severities]\nbad_time = "warning"\n', "the rule is fixed"),
        ('[severities]\nempty_list = "fatal"\n', "one of error, warning, none"),
        ("clock_ahead_s = -1\n", "clock_ahead_s"),
        ("no_key = 1\n", "an unknown key"),
    ],
)
def test_faults_in_tolerances_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "strict.toml"
    head = 'schema = 1\ntitle = "t"\n'
    own = "" if text.startswith("id") else 'id = "strict"\n'
    path.write_text(f"{head}{own}{text}", encoding="utf-8")
    with pytest.raises(FixConfiguration, match=told):
        load_tolerances(path, STANDARD)
