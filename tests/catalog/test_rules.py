"""Every shipped rule proves itself by the test file beside it."""

from pathlib import Path

import pytest

from cloud.rules.load import load_rules, read_rule, rule_files
from cloud.rules.rule import Rule, RuleSet
from cloud.rules.testing import RuleTest, find_tests, load_tests, run_test, wanted
from protocols.catalog.files import data_root
from protocols.errors import Fault

FILES = list(rule_files())
RULES = load_rules()


def _rule(path: Path) -> Rule:
    faults: list[Fault] = []
    rule = read_rule(path, faults)
    assert rule is not None, faults
    return rule


def _tests() -> list[tuple[Path, RuleTest]]:
    return [(path, test) for path in FILES for test in load_tests(find_tests(path)).tests]


@pytest.mark.parametrize(
    ("path", "test"), _tests(), ids=lambda one: getattr(one, "about", getattr(one, "stem", ""))
)
def test_rule_does_what_its_test_file_says(path: Path, test: RuleTest) -> None:
    assert run_test(RULES, _rule(path), test) == wanted(test)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rule_has_a_case_of_each_kind(path: Path) -> None:
    rule, needed = _rule(path), {"fires", "missing_data", "out_of_order"}
    if any(proof.for_ms for proof in rule.proofs):
        needed.add("ends_early")
    if any(proof.suppress_when for proof in rule.proofs):
        needed.add("suppressed")
    if rule.emergency:
        needed.add("late")
    assert needed <= {test.case for test in load_tests(find_tests(path)).tests}


def test_every_test_file_has_its_rule() -> None:
    found = {path.name for path in (data_root() / "rules").glob("*.toml")}
    assert found == {path.name for path in FILES} | {find_tests(path).name for path in FILES}


def test_rules_asked_for_are_there() -> None:
    assert {(rule.alert, rule.kind) for rule in RULES.rules} == {
        ("Entrapment", "elevator"),
        ("SafetyCircuitOpen", "elevator"),
        ("CarDoorNotClosing", "elevator"),
        ("CarDoorNotOpening", "elevator"),
        ("StoppedOutsideUnlockingZone", "elevator"),
        ("UnintendedCarMovement", "elevator"),
        ("UnknownMessageCode", "elevator"),
        ("FloorPositionLost", "elevator"),
        ("RunTimeLimiterOperated", "elevator"),
        ("MainsOff", "elevator"),
        ("ContradictoryStates", "elevator"),
        ("ControllerSilent", "elevator"),
        ("GatewayOffline", "gateway"),
        ("BatchKeyConflict", "gateway"),
        ("BrokerUnreachable", "service"),
        ("DataNotTaken", "service"),
    }


def test_entrapment_orders_its_evidence() -> None:
    entrapment = RULES.by_alert["Entrapment"]
    names = list(dict.fromkeys(proof.name for proof in entrapment.proofs))
    assert names == ["alarm_button", "at_level", "off_level"]
    assert entrapment.emergency


def test_only_entrapment_is_an_emergency() -> None:
    assert [rule.alert for rule in RULES.rules if rule.emergency] == ["Entrapment"]


def test_rule_set_finds_rules_by_kind() -> None:
    assert isinstance(RULES, RuleSet)
    assert {rule.alert for rule in RULES.by_kind["service"]} == {
        "BrokerUnreachable",
        "DataNotTaken",
    }
