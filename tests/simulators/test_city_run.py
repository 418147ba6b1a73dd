"""A small city against a real service, broker and all: every entrapment is accounted for."""

import re
import shutil
from pathlib import Path

import pytest

from simulators.city_run import CityOptions, run_city
from tests.support.mosquitto import MOSQUITTO

OPTIONS = CityOptions(
    lifts=200, hours=0.2, pace=200, seed=4, troubles=40_000, late_ms_max=10_000
)  # whether deadlines are kept on a machine that others use is not the question here


@pytest.mark.end_to_end
def test_a_small_city_loses_and_doubles_nothing() -> None:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    lines: list[str] = []
    code = run_city(OPTIONS, lines.append)
    text = "\n".join(lines)
    logs = re.search(r"logs: (\S+)", text)
    if logs is not None:
        shutil.rmtree(logs[1], ignore_errors=True)
    assert code == 0, text

    def figure(name: str) -> int:
        found = re.search(rf"^  {name} +(\d+)", text, re.MULTILINE)
        assert found is not None, text
        return int(found[1])

    made, buttons = figure("entrapments made"), figure("buttons pressed for nothing")
    unheard = figure("of them ended before anybody could hear")
    assert made >= 5
    assert figure("rescues opened") == made + buttons - unheard
    assert figure("closed") + figure("false alarms") == figure("rescues opened")
    assert figure("lost") == figure("doubled") == 0
    assert "/rescue" in text
