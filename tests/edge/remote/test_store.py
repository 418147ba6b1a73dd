"""The store of configurations: whenever it is killed, it has the last good one or the new one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.remote.store import ConfigStore, Outcome
from edge.setup import load_setup
from protocols.errors import FixConfiguration
from protocols.signed import Configuration

SITE = 'schema = 1\ngateway_id = "gw-1"\n[uplink]\nbroker = "mqtt://x"\n# {}\n'


class Killed(BaseException):
    """The power goes here."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE.format("local"))
    return path


def store_of(site: Path) -> ConfigStore:
    state = site.parent / "state"
    state.mkdir(exist_ok=True)
    return ConfigStore(state, site, None, load_setup)


def push(store: ConfigStore, version: int, *, good: bool = True) -> None:
    """Go through a whole push."""
    text = SITE.format(version)
    store.stage(Configuration(gateway_id="gw-1", version=version, issued_at=1, site=text))
    store.load_staged(version)
    store.begin_trial(version, f"{version:064x}")
    if good:
        store.commit(version)
    else:
        store.abandon(Outcome(version=version, state="rolled_back", reason="no_link"))


def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a counter of durable steps; at the one that it holds as target the power goes."""
    left = [-1]

    def count(real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return counted

    for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "replace")):
        monkeypatch.setattr(owner, name, count(getattr(owner, name)))
    monkeypatch.setattr(Path, "mkdir", count(Path.mkdir))
    return left


@pytest.mark.parametrize("good", [True, False])
def test_killed_at_every_step_it_starts_with_the_old_or_the_new(
    site: Path, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    push(store_of(site), 1)
    left = steps(monkeypatch)
    seen, step, finished = set(), 0, False
    while not finished:
        version = step + 2
        left[0] = step
        try:
            push(store_of(site), version, good=good)
            finished = True
        except Killed:
            pass
        left[0] = -1
        before = store_of(site).pointer.version
        setup = store_of(site).choose()
        assert setup.version in (before, version), step
        again = store_of(site)
        again.choose()  # a trial that dies a second time is given up
        third = store_of(site).choose()
        assert third.version == again.pointer.version
        seen.add(third.version == version)
        step += 1
    assert step > 10
    assert seen == ({True, False} if good else {False})


def test_trial_gets_one_more_start_and_then_the_last_good_one_counts(site: Path) -> None:
    push(store_of(site), 1)
    store = store_of(site)
    store.stage(Configuration(gateway_id="gw-1", version=2, issued_at=1, site=SITE.format(2)))
    store.begin_trial(2, "d")
    assert store_of(site).choose().version == 2
    assert store_of(site).choose().version == 1
    outcome = store_of(site).pointer.outcome
    assert outcome == Outcome(version=2, state="rolled_back", reason="died")


def test_local_file_wins_when_it_is_edited_after_the_push(site: Path) -> None:
    push(store_of(site), 1)
    assert store_of(site).choose().version == 1
    site.write_text("schema = nonsense")
    assert store_of(site).choose().version == 1  # a faulty edit stops nothing
    site.write_text(SITE.format("edited"))
    assert store_of(site).choose().version == 0
    outcome = store_of(site).pointer.outcome
    assert outcome == Outcome(version=1, state="superseded", reason="local_edit")
    assert store_of(site).pointer.highest == 1
    push(store_of(site), 2)
    assert store_of(site).choose().version == 2


def test_damaged_files_fall_back_to_what_was_proved(site: Path) -> None:
    for version in (1, 2):
        push(store_of(site), version)
    folder = site.parent / "state" / "config"
    (folder / "current.json").write_bytes(b"\0" * 40)
    assert store_of(site).choose().version == 2
    (folder / "2" / "site.toml").write_bytes(b"\xff\xff")
    push(store_of(site), 3)
    (folder / "3" / "site.toml").write_bytes(b"\xff\xff")
    store = store_of(site)
    assert store.choose().version == 0  # 3 and 2 cannot be read
    site.unlink()
    with pytest.raises(FixConfiguration):
        store_of(site).choose()


def test_only_the_last_two_are_kept(site: Path) -> None:
    for version in range(1, 5):
        push(store_of(site), version)
    push(store_of(site), 5, good=False)
    folder = site.parent / "state" / "config"
    assert sorted(path.name for path in folder.iterdir()) == ["3", "4", "current.json"]


def test_a_disk_that_takes_nothing_leaves_the_last_good_one(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(store_of(site), 1)
    store = store_of(site)
    store.stage(Configuration(gateway_id="gw-1", version=2, issued_at=1, site=SITE.format(2)))
    store.begin_trial(2, "d")

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.commit(2)
    assert store_of(site).choose().version == 1
    site.write_text(SITE.format("edited"))
    assert store_of(site).choose().version == 0
