"""What the operator says: in both languages, for every state before the trapped are free."""

from pathlib import Path

import pytest

from cloud.incidents.steps import BEFORE_RELEASE
from cloud.model.rescue_data import load_scripts
from protocols.errors import FixConfiguration

OWN = """
schema = 1
[[script]]
id = "own"
states = ["detected"]
to = "passenger"
text = "Own words"
text_zh = "本中心话术"
source = "this centre"
"""


def test_each_state_has_words_for_the_passenger() -> None:
    scripts = load_scripts()
    assert len({one.id for one in scripts.script}) == len(scripts.script)
    for state in (*BEFORE_RELEASE, "released"):
        told = [one for one in scripts.for_state(state) if one.to == "passenger"]
        assert told, state
    assert scripts.for_state("closed") == ()


def test_a_centres_own_words_take_the_place_of_these(tmp_path: Path) -> None:
    (tmp_path / "rescue").mkdir()
    (tmp_path / "rescue" / "scripts.toml").write_text(OWN)
    assert [one.id for one in load_scripts(tmp_path).script] == ["own"]
    (tmp_path / "rescue" / "scripts.toml").write_text(OWN + "more = 1")
    load_scripts.cache_clear()
    with pytest.raises(FixConfiguration, match="more"):
        load_scripts(tmp_path)
