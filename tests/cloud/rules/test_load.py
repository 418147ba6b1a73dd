"""Rule files: what is taken, and every fault of what is not."""

from pathlib import Path

import pytest

from cloud.rules.load import duration_ms, load_rules, read_rule
from protocols.errors import Fault, FixConfiguration

ANNOTATIONS = "\n".join(
    f'{name} = "text"'
    for word in ("summary", "cause", "consequence", "response")
    for name in (word, f"{word}_zh")
)
GOOD = f"""schema = 1
alert = "CarTooFast"
kind = "elevator"
expr = 'speed > 3.0 && service_mode != "inspection"'
for = "1m30s"
keep_firing_for = "500ms"
late_after = "5m"
suppress_when = 'service_mode == "inspection"'

[labels]
severity = "critical"

[annotations]
{ANNOTATIONS}
time_to_respond_s = 600
"""


def _write(folder: Path, text: str, name: str = "car_too_fast.toml") -> Path:
    (folder / "rules").mkdir(exist_ok=True)
    path = folder / "rules" / name
    path.write_text(text, encoding="utf-8")
    return path


def _faults(folder: Path, text: str) -> list[tuple[str, str]]:
    faults: list[Fault] = []
    assert read_rule(_write(folder, text), faults) is None
    return [(fault.key, f"{fault.expected}; {fault.found}") for fault in faults]


def test_rule_of_an_overlay_joins_the_shipped_ones(tmp_path: Path) -> None:
    _write(tmp_path, GOOD)
    rules = load_rules(tmp_path)
    rule = rules.by_alert["CarTooFast"]
    assert "Entrapment" in rules.by_alert
    assert (rule.severity, rule.kind, rule.keep_firing_for_ms) == ("critical", "elevator", 500)
    assert rule.late_after_ms == 300_000
    assert rule.inputs == {"speed", "service_mode"}
    (proof,) = rule.proofs
    assert (proof.name, proof.for_ms) == (None, 90_000)
    assert rule.annotations["response_zh"] == "text"


def test_overlay_takes_the_place_of_a_shipped_rule_by_file_name(tmp_path: Path) -> None:
    shipped = load_rules().by_alert["MainsOff"]
    _write(tmp_path, GOOD.replace("CarTooFast", "MainsOff"), "mains_off.toml")
    mine = load_rules(tmp_path).by_alert["MainsOff"]
    assert mine.inputs != shipped.inputs


def test_alert_in_two_files_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, GOOD.replace("CarTooFast", "Entrapment"))
    with pytest.raises(FixConfiguration, match="Entrapment twice"):
        load_rules(tmp_path)


def test_faults_of_all_files_are_told(tmp_path: Path) -> None:
    _write(tmp_path, GOOD.replace("speed", "velocity"))
    _write(tmp_path, "schema = [", "broken.toml")
    with pytest.raises(FixConfiguration) as caught:
        load_rules(tmp_path)
    assert {Path(fault.file).name for fault in caught.value.faults} == {
        "broken.toml",
        "car_too_fast.toml",
    }


@pytest.mark.parametrize(
    ("change", "to", "key", "says"),
    [
        ("schema = 1", "schema = 2", "schema", "2"),
        ('"CarTooFast"', '"car too fast"', "alert", "car too fast"),
        (
            'kind = "elevator"',
            'kind = "balloon"',
            "kind",
            "one of elevator, filling_gun, gateway, scale, service",
        ),
        ("speed >", "velocity >", "expr", "velocity"),
        ("speed > 3.0", "speed > ", "expr", "CEL"),
        ("speed > 3.0", "speed > three", "expr", "three"),
        ("speed > 3.0", 'speed > "3"', "expr", "No such overload"),
        ("speed > 3.0", "sqrt(speed) > 3.0", "expr", "sqrt"),
        ("speed > 3.0 && service_mode", "service_mode", "expr", ""),
        ('service_mode != "inspection"', "true", "expr", ""),
        ('!= "inspection"', '!= "inspecton"', "expr", "inspecton"),
        ("'speed > 3.0 && service_mode != \"inspection\"'", "'speed'", "expr", "float 0.5"),
        ("'speed > 3.0 && service_mode != \"inspection\"'", "'1 > 2'", "expr", "some point"),
        ('== "inspection"', '== "fire"', "suppress_when", "'fire'"),
        ('"1m30s"', '"90"', "for", "'90'"),
        ('"1m30s"', "90", "for", "90"),
        ('"critical"', '"loud"', "labels.severity", "'loud'"),
        ('response = "text"', "", "annotations.response", "missing"),
        ('response_zh = "text"', 'response_zh = ""', "annotations.response_zh", "''"),
        ("late_after", "late_before", "late_before", "unknown key"),
        ("expr = ", "#", "expr", "neither"),
    ],
)
def test_faulty_rule_is_refused_with_its_key(
    tmp_path: Path, change: str, to: str, key: str, says: str
) -> None:
    assert change in GOOD
    text = GOOD.replace(change, to, 1)
    if not says:
        faults: list[Fault] = []
        assert read_rule(_write(tmp_path, text), faults) is not None  # right, only different
        return
    found = _faults(tmp_path, text)
    assert [one for one, _ in found] == [key]
    assert says in found[0][1]


def test_evidence_tables_are_read_in_order(tmp_path: Path) -> None:
    evidence = """
[[evidence]]
name = "weak"
expr = 'speed > 3.0'
[[evidence]]
name = "strong"
expr = 'speed > 6.0'
for = "2s"
[[evidence]]
name = "strong"
expr = '"overspeed" in message_code'
"""
    head = "\n".join(
        line for line in GOOD.splitlines() if not line.startswith(("expr", "for", "suppress"))
    )
    faults: list[Fault] = []
    rule = read_rule(_write(tmp_path, head + evidence), faults)
    assert rule is not None
    assert [proof.name for proof in rule.proofs] == ["weak", "strong", "strong"]
    assert rule.ranks == (0, 1, 1)
    found = _faults(tmp_path, head + evidence + '[[evidence]]\nname = "weak"\nexpr = "speed > 9.0"')
    assert found[0][0] == "evidence"
    found = _faults(tmp_path, GOOD.replace("[labels]", evidence + "[labels]"))
    assert found == [("expr", "expr, or [[evidence]] with an expr each; both")]


@pytest.mark.parametrize(
    ("text", "ms"), [("0s", 0), ("20s", 20_000), ("1h2m3s4ms", 3_723_004), ("500ms", 500)]
)
def test_duration_reads_as_in_prometheus(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
