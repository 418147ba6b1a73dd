from pathlib import Path

import pytest

from protocols.catalog.controller import load_controllers
from protocols.clock import ManualClock
from protocols.errors import FixConfiguration
from simulators.scenario import Play, load_scenario, scenario_files

CONTROLLERS = load_controllers(None)[0]
FILES = scenario_files()

MINIMAL = """\
schema = 1
id = "{id}"
title = "t"
title_zh = "题"
duration_s = 20

[[groups]]
id = "g"
controller = "gbt24476-adapter"
lifts = 4
"""


def write(folder: Path, more: str, scenario_id: str = "mine") -> Path:
    path = folder / "mine.toml"
    path.write_text(MINIMAL.format(id=scenario_id) + more, encoding="utf-8")
    return path


def play_all(play: Play, clock: ManualClock, dt_s: float = 0.2) -> list[str]:
    faults, expects = [], sorted(play.scenario.expect, key=lambda expect: expect.at_s)
    while not play.over or expects:
        clock.advance(round(dt_s * 1000))
        faults += [f"{e.at_s}: {e.action}: {e.refused}" for e in play.advance(dt_s) if e.refused]
        while expects and expects[0].at_s <= play.now_s:
            expect = expects.pop(0)
            if unmet := play.unmet(expect):
                faults.append(f"{expect.at_s} s, {expect.group} {expect.lift}: shows {unmet}")
    return faults


@pytest.mark.parametrize("name", FILES)
def test_shipped_scenario_plays_as_it_says(name: str) -> None:
    clock = ManualClock()
    play = Play(load_scenario(FILES[name]), CONTROLLERS, clock)
    assert play.scenario.expect, "a scenario proves itself"
    assert max(e.at_s for e in play.scenario.expect) <= play.scenario.duration_s
    assert play_all(play, clock) == []


def test_scenarios_of_the_issue_are_there() -> None:
    assert {
        "morning-peak",
        "entrapment-button",
        "entrapment-at-level",
        "entrapment-off-level",
        "power-cut-district",
        "door-fault",
        "silent-controller",
    } <= set(FILES)


def test_power_cut_makes_trapped_people_press_the_button() -> None:
    clock = ManualClock()
    play = Play(load_scenario(FILES["power-cut-district"]), CONTROLLERS, clock)
    while play.now_s < 130:
        play.advance(0.2)
    codes = [served.shown["message_code"].value for served in play.groups["east"]]
    assert all(isinstance(found, list) and "41" in found for found in codes)
    pressed = sum("90" in found for found in codes if isinstance(found, list))
    assert 3 <= pressed <= 57


def test_share_and_spread_are_drawn_by_the_seed(tmp_path: Path) -> None:
    step = """
[[steps]]
at_s = 5
spread_s = 10
share = 0.5
group = "g"
do = { op = "fault", name = "power_cut" }
"""
    path = write(tmp_path, step)
    runs = []
    for _ in range(2):
        play = Play(load_scenario(path), CONTROLLERS, ManualClock())
        events = []
        while not play.over:
            events += play.advance(0.2)
        runs.append([(event.at_s, event.lift) for event in events])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2
    assert all(5 <= at_s <= 15 for at_s, _ in runs[0])


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("colour = 1\n", "colour"),
        ('[[groups]]\nid = "g"\ncontroller = "x"\n', "groups"),
        ('[[steps]]\nat_s = 1\ngroup = "h"\ndo = { op = "clear" }\n', "steps[0].group"),
        ('[[steps]]\nat_s = 1\ngroup = "g"\nlifts = [4]\ndo = { op = "clear" }\n', "lifts"),
        ('[[steps]]\nat_s = 1\ngroup = "g"\ndo = { op = "clear", lift = 1 }\n', "steps[0].do"),
        ('[[steps]]\nat_s = 1\ngroup = "g"\ndo = { op = "stats" }\n', "steps[0].do"),
        ('[[steps]]\nat_s = 1\ngroup = "g"\ndo = { op = "explode" }\n', "steps[0].do"),
        ('[[steps]]\nat_s = -1\ngroup = "g"\ndo = { op = "clear" }\n', "steps[0].at_s"),
        ('[[expect]]\nat_s = 1\ngroup = "g"\nlift = 9\nvalues = {}\n', "expect[0].lifts"),
    ],
)
def test_faulty_scenario_is_refused_with_the_key(tmp_path: Path, more: str, key: str) -> None:
    with pytest.raises(FixConfiguration) as refused:
        load_scenario(write(tmp_path, more))
    assert any(key in fault.key for fault in refused.value.faults)


def test_scenario_under_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FixConfiguration, match="the file's name"):
        load_scenario(write(tmp_path, "", scenario_id="other"))


def test_missing_controller_is_named(tmp_path: Path) -> None:
    with pytest.raises(FixConfiguration, match="gbt24476-adapter"):
        Play(load_scenario(write(tmp_path, "")), {}, ManualClock())
