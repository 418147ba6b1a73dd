"""The filling station as a newcomer runs it: everything that happens in the hall arrives."""

import re
import subprocess
import sys

import pytest

from protocols.border import load_toml
from simulators.filling_station import FILE, Story
from simulators.processes import module_environment


@pytest.mark.end_to_end
def test_tags_codes_and_weights_arrive_once_each() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulators", "run", "filling_station"],
        capture_output=True,
        env=module_environment(),
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    story = load_toml(FILE, Story)
    assert re.search(rf"{3 * len(story.cylinders)} scans and \d+ weights arrived", done.stdout)
    for found in ("incomplete_read", "bad_check_digit", "30.60 kg", "grai 006141411234524001"):
        assert found in done.stdout
