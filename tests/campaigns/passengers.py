"""People who get trapped, one after the other, while parts of the system are killed."""

import threading
import time
from collections.abc import Iterable
from typing import Any

import httpx

from tests.support.stack import Stack

HOLD_AFTER_ALARM_S = 0.5
EPISODE_TIMEOUT_S = 90.0


class Passengers:
    """One thread per lift: alarm button pressed, alarm seen, let out, alarm normal, again."""

    def __init__(self, stack: Stack, lifts: Iterable[int]) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._episodes: list[str] = []
        self._failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._ride, args=(lift,), name=f"passenger-{lift}")
            for lift in lifts
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> list[str]:
        """End after the episodes under way; return the asset of each episode."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * EPISODE_TIMEOUT_S)
        if self._failures:
            raise AssertionError("; ".join(self._failures))
        return self._episodes

    def _ride(self, lift: int) -> None:
        asset = self._stack.asset(lift)
        while not self._stop.is_set():
            before = {alarm["id"] for alarm in self._alarms(asset)}
            self._stack.lifts.order(
                op="fault", lift=lift, name="entrapment", evidence="alarm_button"
            )
            self._episodes.append(asset)
            alarm = self._wait(asset, before, {"unacknowledged"})
            time.sleep(HOLD_AFTER_ALARM_S)
            self._acknowledge(alarm["id"])
            self._stack.lifts.order(op="clear", lift=lift)
            self._wait(asset, before, {"normal"})

    def _wait(self, asset: str, before: set[int], states: set[str]) -> dict[str, Any]:
        deadline = time.monotonic() + EPISODE_TIMEOUT_S
        while time.monotonic() < deadline:
            new = [alarm for alarm in self._alarms(asset) if alarm["id"] not in before]
            if new and new[-1]["state"] in states:
                return new[-1]
            time.sleep(0.1)
        self._failures.append(f"{asset}: no alarm in {states} within {EPISODE_TIMEOUT_S} s")
        raise TimeoutError(self._failures[-1])

    def _alarms(self, asset: str) -> list[dict[str, Any]]:
        while True:
            try:
                return self._stack.alarms(asset, "Entrapment")
            except httpx.HTTPError:
                time.sleep(0.1)

    def _acknowledge(self, alarm_id: int) -> None:
        while True:
            try:
                answer = self._stack.http.post(
                    f"/api/v1/alarms/{alarm_id}/acknowledge", json={"note": "campaign"}
                )
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                # 409: it was acknowledged by a call whose answer the kill took
                if answer.status_code in (200, 409):
                    return
                time.sleep(0.1)
