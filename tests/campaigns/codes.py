"""Sends good, damaged and torn bar codes and weights through devices that come and go.

    python -m tests.campaigns.codes --cases 300 --seed 1

Each lane is a gateway process with a scanner and a scale of its own. Exit 0 only if every text was
told once and as what it is, no torn one was told, no weight was told that did not stand at rest on
the scale, and every device was back within 5 s.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from biip.checksums import gs1_standard_check_digit

from simulators.weighing import CAPACITY_KG, FRAMES, Weight
from tests.support.reading_process import ReadingProcess
from tests.support.scanners import RIGS, ScannerRig, missing_for
from tests.support.simulated_scales import SerialScaleRig

BACK_S = 5.0
TOLD_S = 5.0
DEVICES = """\
[[scanners]]
id = "scanner"
kind = "{kind}"
device = "{device}"

[[scales]]
id = "scale"
kind = "scale_serial"
asset = "scale:1"
protocol = "{protocol}"
device = "{scale}"
"""
Codes = list[tuple[str, str]]


class Account(msgspec.Struct):
    """What a campaign has found; `faults` names case, lane and what happened."""

    cases: Counter[str] = msgspec.field(default_factory=Counter)
    texts: int = 0
    weights: int = 0
    slowest_back_s: float = 0.0
    wrong: int = 0
    lost: int = 0
    late: int = 0
    faults: list[str] = []

    @property
    def breached(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.wrong or self.lost or self.late or self.faults)

    def line(self, seed: int, seconds: float) -> str:
        """Return the result."""
        by = ", ".join(f"{name} {count}" for name, count in sorted(self.cases.items()))
        return (
            f"{self.cases.total()} cases, seed {seed}, {seconds:.0f} s ({by}): {self.texts} texts, "
            f"{self.weights} weights; {self.wrong} wrong, {self.lost} lost, {self.late} not back "
            f"within {BACK_S:.0f} s (slowest {self.slowest_back_s:.1f} s)"
        )


def texts(rng: random.Random) -> Iterator[tuple[str, Codes]]:
    """Make texts and what they must be told as."""
    while True:
        body = f"690{rng.randrange(10**9):09d}"
        digit = gs1_standard_check_digit(body)
        gtin, bad = f"0{body}{digit}", f"0{body}{(digit + rng.randint(1, 9)) % 10}"
        serial = f"S{rng.randrange(10**8)}"
        keys = [("gtin", gtin), ("serial", serial)]
        yield rng.choice(
            [
                (
                    f"]C101{gtin}21{serial}",
                    [("gs1_element_string", f"(01){gtin}(21){serial}"), *keys],
                ),
                (
                    f"https://a.cn/01/{gtin}/21/{serial}",
                    [("gs1_digital_link", f"https://id.gs1.org/01/{gtin}/21/{serial}"), *keys],
                ),
                (f"https://a.cn/id/cylinder/{serial}", [("cylinder", serial)]),
                (f"]E0{gtin[1:]}", [("gtin", gtin)]),
                *(
                    (text, [("raw", text)])
                    for text in (f"]C101{bad}21{serial}", serial, f"]E0{bad[1:]}")
                ),
                (f"01{bad}\x1d21{serial}", [("raw", f"01{bad}\x1d21{serial}")]),
                (f"{serial}\x02\x1b", [("raw", f"{serial}\x02\x1b")]),
            ]
        )


class Lane:
    """One gateway with a scanner and a scale."""

    def __init__(self, kind: str, folder: Path, rng: random.Random, account: Account) -> None:
        folder.mkdir()
        self.scanner: ScannerRig = RIGS[kind](folder)
        self.scale = SerialScaleRig(
            folder / "scale", rng.choice(["comma-line", "toledo-continuous"])
        )
        self._account, self._texts = account, texts(rng)
        self.scanner.plug()
        devices = DEVICES.format(
            kind=kind,
            device=self.scanner.device,
            protocol=self.scale.protocol,
            scale=self.scale.plug.link,
        )
        self.scale.__enter__()
        self.edge = ReadingProcess(folder / "site.toml", devices, self.scanner.environment)
        self._expected: list[Codes] = []
        self._stood: set[float | None] = {0.0, None}
        self._last_kg = 0.0
        self.back("scanner")
        self.send()  # so that it is known to send line ends
        self.settle()

    def send(self, *, whole: bool = True) -> None:
        """Scan something; what is torn must not be told."""
        text, codes = next(self._texts)
        if whole:
            self._expected.append(codes)
            self._account.texts += 1
        self.scanner.scan(text if whole else text[: len(text) // 2], "\r" if whole else "")

    def weigh(self, kg: float) -> None:
        """Put another weight on the scale, at rest, and wait until it is told."""
        kg = kg if kg != self._last_kg else kg + 1
        before_kg, self._last_kg = self._last_kg, kg
        self._stood.add(kg)
        self._account.weights += 1
        self.scale.show(Weight(kg))
        if not self._wait(lambda: self._weights()[-1:] == [kg]):
            self._fault("lost", f"weight {kg} after {before_kg}, told {self._weights()[-5:]}")

    def settle(self) -> None:
        """Wait until all is told, then compare."""
        self._wait(lambda: len(self._told()) >= len(self._expected))
        told = self._told()
        if told != self._expected:
            wrong = [one for one in told if one not in self._expected]
            self._fault("wrong" if wrong else "lost", f"{wrong}; {told} for {self._expected}")
        if false := set(self._weights()) - self._stood:
            self._fault("wrong", f"weights {false}")
        self.edge.told.clear()
        self._expected.clear()

    def back(self, source: str) -> None:
        """Wait until a device is open again; it has to be soon."""
        began = time.monotonic()
        self._wait(lambda: self.edge.status()[source]["link"] == "up")
        took_s = time.monotonic() - began
        self._account.late += took_s > BACK_S
        self._account.slowest_back_s = max(self._account.slowest_back_s, took_s)

    def close(self) -> None:
        """End it."""
        self.edge.stop()
        self.scanner.close()
        self.scale.__exit__()

    def _told(self) -> list[Codes]:
        self.edge.texts()  # takes what came
        return [
            [(code["scheme"], code["value"]) for code in one["codes"]]
            for one in self.edge.told
            if "codes" in one
        ]

    def _weights(self) -> list[float | None]:
        self.edge.texts()
        values: list[dict[str, Any]] = [one.get("values", {}) for one in self.edge.told]
        return [one["gross_kg"] for one in values if "gross_kg" in one]

    def _wait(self, true: Callable[[], object]) -> bool:
        deadline = time.monotonic() + max(TOLD_S, 2 * BACK_S)
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _fault(self, what: str, found: str) -> None:
        setattr(self._account, what, getattr(self._account, what) + 1)
        self._account.faults.append(f"{self.scanner.kind}: {found}; {self.edge.status()}")


def scans_in_a_burst(lane: Lane, rng: random.Random) -> None:
    """Scan as fast as the line takes it."""
    for _ in range(rng.randint(2, 30)):
        lane.send()


def scanner_pulled_out(lane: Lane, rng: random.Random) -> None:
    """Pull the scanner out in the middle of a text, and plug it in again."""
    lane.send()
    lane.settle()
    lane.send(whole=False)
    time.sleep(rng.uniform(0, 0.3))
    lane.scanner.unplug()
    time.sleep(rng.uniform(0, 1))
    lane.scanner.plug()
    time.sleep(0.05)  # so that the old device is seen to be gone
    lane.back("scanner")
    lane.send()


def text_torn_on_the_line(lane: Lane, rng: random.Random) -> None:
    """Send half a text, and after a silence a whole one."""
    lane.send(whole=False)
    time.sleep(0.6)
    lane.send()


def filling(lane: Lane, rng: random.Random) -> None:
    """Fill a cylinder; only what stands at rest is told."""
    start = rng.randint(1000, 2000) / 100
    lane.weigh(start)
    for tenth in range(rng.randint(3, 8)):
        lane.scale.show(Weight(round(start + tenth / 7, 2), in_motion=True))
        time.sleep(0.03)
    lane.weigh(round(start + rng.randint(10, 1400) / 100, 2))


def scale_overloaded_or_below_zero(lane: Lane, rng: random.Random) -> None:
    """Put too much on the scale, then less than nothing."""
    lane.scale.show(Weight(CAPACITY_KG + rng.random()))
    time.sleep(0.1)
    lane.weigh(-rng.randint(1, 900) / 100)


def scale_pulled_out_amid_noise(lane: Lane, rng: random.Random) -> None:
    """Send noise and half frames, pull the scale out, plug it in."""
    lane.weigh(rng.randint(100, 9000) / 100)
    frame = FRAMES[lane.scale.protocol](Weight(99.99))
    lane.scale.plug.send(rng.randbytes(20) + frame[: rng.randint(1, len(frame) - 1)])
    lane.scale.plug.unplug()
    time.sleep(rng.uniform(0, 1))
    lane.scale.plug.plug()
    lane.weigh(rng.randint(100, 9000) / 100)
    lane.back("scale")


CASES: dict[str, Callable[[Lane, random.Random], None]] = {
    case.__name__: case
    for case in (
        scans_in_a_burst,
        scanner_pulled_out,
        text_torn_on_the_line,
        filling,
        scale_overloaded_or_below_zero,
        scale_pulled_out_amid_noise,
    )
}


def run(folder: Path, cases: int, seed: int) -> Account:
    """Run so many cases, in one lane for each kind of scanner that this machine has."""
    account, names = Account(), list(CASES)
    queue = [names[number % len(names)] for number in range(cases)]
    random.Random(seed).shuffle(queue)
    kinds = [kind for kind in RIGS if missing_for(kind) is None]
    lanes = [
        threading.Thread(target=_lane, args=(account, queue, kind, folder / kind, seed + number))
        for number, kind in enumerate(kinds)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    if queue:
        account.faults.append(f"{len(queue)} cases were not run")
    return account


def _lane(account: Account, queue: list[str], kind: str, folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    lane = Lane(kind, folder, rng, account)
    try:
        while queue:
            name = queue.pop()
            CASES[name](lane, rng)
            lane.settle()
            account.cases[name] += 1
    finally:
        lane.close()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suyuan-codes-") as folder:
        account = run(Path(folder), options.cases, options.seed)
    for fault in account.faults:
        print(f"FAULT: {fault}")
    print(account.line(options.seed, time.monotonic() - began))
    return 1 if account.breached else 0


if __name__ == "__main__":
    sys.exit(main())
