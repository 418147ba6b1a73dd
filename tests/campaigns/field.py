"""Everything that a gateway meets in the field, as campaigns one after the other.

    python -m tests.campaigns.field --share 0.1 --seed 1

`--share 1` is the full length: 1,000 cases of readers and scanners that are unplugged and read in
bursts, 200 clock faults, 2,000 damaged spools and failing system calls, 100 certificate cases, 200
configuration pushes and 100 software updates with kills. Each campaign prints its progress; at the
end stands a line for each. Exit 0 only if none found a breach.
"""

import argparse
import subprocess
import sys
import time
from typing import NamedTuple


class Part(NamedTuple):
    """One campaign and its full length."""

    module: str
    counts: dict[str, int]
    """Cases by option."""


PARTS = (
    Part("readers", {"--cases": 700}),
    Part("codes", {"--cases": 300}),
    Part("clock", {"--cases": 200}),
    Part("damage", {"--cases": 2000, "--processes": 120}),
    Part("certificates", {"--cases": 100}),
    Part("configuration", {"--pushes": 200, "--updates": 100}),
)


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the full length, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("parts", nargs="*", help="all, unless named")
    options = parser.parse_args()
    lines, failed = [], False
    for part in PARTS:
        if options.parts and part.module not in options.parts:
            continue
        print(f"\n== {part.module}", flush=True)
        began = time.monotonic()
        last, code = _run(part, options.share, options.seed)
        failed |= code != 0
        word = "ok" if code == 0 else f"FAILED ({code})"
        lines.append(f"{part.module:14} {word}, {time.monotonic() - began:.0f} s: {last}")
    print("\n" + "\n".join(lines))
    sys.exit(failed)


def _run(part: Part, share: float, seed: int) -> tuple[str, int]:
    """Run one campaign; return the last line that it printed, and its exit code."""
    command = [sys.executable, "-u", "-m", f"tests.campaigns.{part.module}", "--seed", str(seed)]
    for option, count in part.counts.items():
        command += [option, str(max(1, round(count * share)))]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return last, process.returncode


if __name__ == "__main__":
    main()
