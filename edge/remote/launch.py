"""Starts the gateway from one of two environments, and goes back when new software does not prove.

    python3 launch.py --environments /opt/suyuan -- run --site FILE --state DIR

It is copied out of the environments and needs nothing but Python's own library, so that no update
can break it. Everything it knows is in files; each changes by one rename:

    a/ b/                the environments
    current              link to the one that runs
    trial.json           software that is not proved yet: slot, the slot before, starts so far
    proven.json          the last that was proved; the new software itself makes it of trial.json
    rolled-back.json     the last that was not; this program makes it of trial.json
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SLOTS = ("a", "b")
CURRENT, TRIAL, PROVEN, ROLLED_BACK = "current", "trial.json", "proven.json", "rolled-back.json"
PROGRAM = Path("bin") / "suyuan-edge"
RESTART_CODE = 75
"""The gateway asks to be started again, for there is something to try."""
STARTS_MAX = 3
PROOF_S = 180.0
AGAIN_S = 2.0
STOP_S = 12.0
LOOK_S = 0.2
PR_SET_PDEATHSIG = 1


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None when there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON object in place of an earlier one."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def point(base: Path, slot: str) -> None:
    """Let `current` lead to a slot."""
    link = base / CURRENT
    if link.is_symlink() and os.readlink(link) == slot:  # noqa: PTH115  # the text itself
        return
    draft = base / f".{CURRENT}.new"
    draft.unlink(missing_ok=True)
    draft.symlink_to(slot)
    draft.replace(link)
    sync(base)


def settle(base: Path) -> dict[str, Any] | None:
    """Decide what to start; return the trial when it is one, counted as one more start."""
    trial = read_json(base / TRIAL)
    if trial is None:
        (base / TRIAL).unlink(missing_ok=True)  # damaged: what ran before runs on
    elif trial.get("slot") not in SLOTS or not (base / trial["slot"] / PROGRAM).exists():
        roll_back(base, "gone")
    elif trial.get("starts", 0) >= STARTS_MAX:
        roll_back(base, "died")
    else:
        trial["starts"] = trial.get("starts", 0) + 1
        write_json(base / TRIAL, trial)
        point(base, trial["slot"])
        return trial
    _repair(base)
    return None


def roll_back(base: Path, reason: str) -> bool:
    """Give the trial up; False when the new software proved itself in this very moment."""
    try:
        (base / TRIAL).rename(base / ROLLED_BACK)
    except FileNotFoundError:
        return False
    sync(base)
    found = read_json(base / ROLLED_BACK) or {}
    write_json(base / ROLLED_BACK, {**found, "reason": reason})
    _repair(base)
    return True


def _repair(base: Path) -> None:
    """Let `current` lead to what is known to be good, whatever a kill left."""
    proven, back = read_json(base / PROVEN), read_json(base / ROLLED_BACK)
    slot = None
    if back is not None and (proven is None or back.get("serial", 0) > proven.get("serial", 0)):
        slot = back.get("before")
    elif proven is not None:
        slot = proven.get("slot")
    present = (base / CURRENT).resolve().name
    for choice in (slot, present, *SLOTS):
        if choice in SLOTS and (base / choice / PROGRAM).exists():
            point(base, choice)
            return


class Launcher:
    """Keeps one gateway running until SIGTERM."""

    def __init__(self, base: Path, arguments: list[str], proof_s: float) -> None:
        self._base, self._arguments, self._proof_s = base, arguments, proof_s
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def stop(self, *_: object) -> None:
        """Pass SIGTERM on, and end with the gateway."""
        self._stopping = True
        if self._child is not None:
            self._child.terminate()

    def run(self) -> int:
        """Start, watch, start again; return the last exit code once stopped."""
        while True:
            trial = self._settle()
            code = self._run_once(trial)
            if self._stopping:
                return code
            if code != RESTART_CODE:
                say(f"the gateway ended with {code}")
                time.sleep(AGAIN_S)

    def _settle(self) -> dict[str, Any] | None:
        """Decide what to start; on a disk that takes nothing, what ran before."""
        try:
            return settle(self._base)
        except OSError as error:
            say(f"{self._base}: {error}")
            return None

    def _run_once(self, trial: dict[str, Any] | None) -> int:
        program = str(self._base / CURRENT / PROGRAM)
        words = [program, *self._arguments, "--environments", str(self._base)]
        try:
            child = self._child = subprocess.Popen(words, preexec_fn=die_with_parent)  # noqa: PLW1509  # one thread
        except OSError as error:
            say(f"{program}: {error}")
            return 126
        if self._stopping:  # it came between two children
            child.terminate()
        deadline = time.monotonic() + self._proof_s
        while True:
            try:
                return child.wait(LOOK_S if trial else None)
            except subprocess.TimeoutExpired:
                if not (self._base / TRIAL).exists():
                    trial = None
                elif time.monotonic() > deadline:
                    end(child)
                    if roll_back(self._base, "not_healthy"):
                        say(f"taken back: {trial}")
                    return RESTART_CODE


def die_with_parent() -> None:
    """Let the kernel stop the gateway when this program is killed: a new one will start it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end(child: "subprocess.Popen[bytes]") -> None:
    """Stop a child, kindly at first."""
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def say(text: str) -> None:
    """Tell the journal."""
    print(f"launch: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--proof-s", type=float, default=PROOF_S)
    parser.add_argument("arguments", nargs="+", help="run --site FILE --state DIR")
    options = parser.parse_args()
    launcher = Launcher(options.environments.absolute(), options.arguments, options.proof_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, launcher.stop)
    return launcher.run()


if __name__ == "__main__":
    sys.exit(main())
