"""The launcher: whenever it is killed, what runs next is the last good software or the new one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.remote import launch
from edge.remote.launch import CURRENT, PROVEN, ROLLED_BACK, STARTS_MAX, TRIAL, settle

PROGRAM = """#!/bin/sh
echo {slot} >> {base}/ran
{body}
"""


class Killed(BaseException):
    """The power goes here."""


def make(base: Path, *, a: str = "sleep 60", b: str = "sleep 60") -> None:
    for slot, body in (("a", a), ("b", b)):
        program = base / slot / launch.PROGRAM
        program.parent.mkdir(parents=True)
        program.write_text(PROGRAM.format(slot=slot, base=base, body=body))
        program.chmod(0o755)
    launch.point(base, "a")


def on_trial(base: Path, **more: Any) -> None:
    trial = {"serial": 2, "version": "2", "slot": "b", "before": "a", "starts": 0}
    launch.write_json(base / TRIAL, {**trial, **more})


def current(base: Path) -> str:
    return str((base / CURRENT).readlink())


def test_trial_is_started_some_times_and_then_taken_back(tmp_path: Path) -> None:
    make(tmp_path)
    on_trial(tmp_path)
    for number in range(1, STARTS_MAX + 1):
        trial = settle(tmp_path)
        assert trial is not None
        assert (trial["starts"], current(tmp_path)) == (number, "b")
    assert settle(tmp_path) is None
    assert current(tmp_path) == "a"
    told = json.loads((tmp_path / ROLLED_BACK).read_text())
    assert (told["serial"], told["reason"]) == (2, "died")


def test_proven_software_stays_though_the_link_was_lost(tmp_path: Path) -> None:
    make(tmp_path)
    on_trial(tmp_path)
    settle(tmp_path)
    (tmp_path / TRIAL).rename(tmp_path / PROVEN)
    (tmp_path / CURRENT).unlink()
    assert settle(tmp_path) is None
    assert current(tmp_path) == "b"
    assert not launch.roll_back(tmp_path, "not_healthy")  # it proved itself a moment before
    assert current(tmp_path) == "b"


def test_damaged_or_lost_trial_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / TRIAL).write_bytes(b"\0\0")
    assert settle(tmp_path) is None
    assert not (tmp_path / TRIAL).exists()
    on_trial(tmp_path, slot="c")
    assert settle(tmp_path) is None
    assert current(tmp_path) == "a"
    (tmp_path / "b" / launch.PROGRAM).unlink()
    on_trial(tmp_path)
    assert settle(tmp_path) is None
    assert current(tmp_path) == "a"


@pytest.mark.parametrize("verb", ["try", "back"])
def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    left = [0]

    def count(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "replace")):
        count(owner, name)
    for name in ("symlink_to", "unlink"):
        count(Path, name)
    for step in range(30):
        base = tmp_path / str(step)
        left[0] = -1
        make(base)
        on_trial(base, starts=STARTS_MAX if verb == "back" else 0)
        left[0] = step
        try:
            settle(base)
            finished = True
        except Killed:
            finished = False
        left[0] = -1
        trial = settle(base)
        assert current(base) == ("a" if verb == "back" else "b"), step
        assert (trial is None) == (verb == "back")
        if finished:
            assert step > 3
            return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("body", ["exit 1", "trap '' TERM; sleep 60"])
def test_real_launcher_takes_back_what_dies_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    make(tmp_path, b=body)
    on_trial(tmp_path)
    script = tmp_path / "launch.py"
    text = Path(launch.__file__).read_text()
    for slow, quick in (("AGAIN_S = 2.0", "AGAIN_S = 0.05"), ("STOP_S = 12.0", "STOP_S = 0.2")):
        assert slow in text
        text = text.replace(slow, quick)
    script.write_text(text)
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", str(script), "--environments", str(tmp_path)),
            *("--proof-s", "1.5", "--", "run"),
        ]
    )
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "ran").exists() or (tmp_path / "ran").read_text()[-2:] != "a\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(15) is not None
    ran = (tmp_path / "ran").read_text().split()
    assert ran == ["b"] * (STARTS_MAX if body == "exit 1" else 1) + ["a"]
    assert current(tmp_path) == "a"


def test_gateway_does_not_outlive_a_launcher_that_is_killed(tmp_path: Path) -> None:
    make(tmp_path, a="exec sleep 60")
    process = subprocess.Popen(
        [sys.executable, "-I", launch.__file__, "--environments", str(tmp_path), "--", "run"]
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 10
    while not (tmp_path / "ran").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (child,) = children.read_text().split()
    process.kill()
    process.wait()
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_disk_that_takes_nothing_starts_what_ran_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    on_trial(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(launch, "write_json", full)
    assert launch.Launcher(tmp_path, [], 1.0)._settle() is None
    assert current(tmp_path) == "a"
