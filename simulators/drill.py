"""One entrapment from the register to the rescue feed and back to normal, told stage by stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocols.clock import Clock
from protocols.errors import StopService
from simulators import actions
from simulators.api import Api
from simulators.city import City, ServedLift
from simulators.feed_watch import FeedWatch, Heard
from simulators.lift import Evidence
from simulators.tell import Teller
from simulators.waiting import until

ALERT = "Entrapment"
SEEN_TIMEOUT_S = 30.0
FEED_TIMEOUT_S = 60.0
"""Evidence without a button has to stand for some time before it counts."""
NORMAL_TIMEOUT_S = 120.0

_EVIDENCE_WORDS: dict[Evidence, tuple[str, str]] = {
    "alarm_button": ("乘客被困并按下报警按钮", "trapped, alarm button pressed"),
    "at_level": ("轿厢平层，门不开", "trapped at a floor, doors stay shut"),
    "off_level": ("轿厢停在两层之间", "trapped between two floors"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The lift that a drill is done to."""

    served: ServedLift
    asset: str
    name: str


class Drill:
    """Drives and follows entrapments.

    Args:
        city: the simulated lifts.
        api: the service.
        feed: the running listener.
        tell: prints the stages.
        clock: the same as the city's.
        alive: raises StopService when a child process has ended.

    """

    def __init__(
        self,
        *,
        city: City,
        api: Api,
        feed: FeedWatch,
        tell: Teller,
        clock: Clock,
        alive: Callable[[], None],
    ) -> None:
        self._city, self._api, self._feed = city, api, feed
        self._tell, self._clock, self._alive = tell, clock, alive

    async def entrap(self, subject: Subject, evidence: Evidence, gateway: str) -> tuple[Heard, int]:
        """Let somebody be trapped; follow it to the feed.

        Returns:
            the feed's item, and the latency from register change to feed in ms.

        Raises:
            StopService: a stage was not reached in time.

        """
        served, before = subject.served, await self._alarm_batches(gateway)
        begun = self._clock.wall_ms()
        self._city.apply(actions.Fault(lift=served.index, name="entrapment", evidence=evidence))
        changed_at = max(begun, served.changed_at)
        chinese, english = _EVIDENCE_WORDS[evidence]
        self._tell.say(
            f"① 寄存器已变：{subject.name}，{chinese}",
            f"register changed at {served.where.split()[0]}, unit {served.unit_id}: {english}",
        )
        if evidence == "alarm_button":
            await self._follow_to_log(served, changed_at, gateway, before)
        heard = await self.hear(subject, "unacknowledged", since=begun, timeout_s=FEED_TIMEOUT_S)
        self._tell_on_feed(evidence, heard, heard.at - changed_at)
        return heard, heard.at - changed_at

    def _tell_on_feed(self, evidence: Evidence, heard: Heard, latency_ms: int) -> None:
        alarm, waited_s = heard.item.data.get("id"), round(latency_ms / 1000)
        if evidence == "alarm_button":
            self._tell.say(
                f"④ 困人告警已到应急处置中心：从寄存器变化到推送 {latency_ms} 毫秒",
                f"alarm {alarm} on the feed: {latency_ms} ms from register change",
            )
        else:
            self._tell.say(
                f"④ 困人告警已到应急处置中心：{waited_s} 秒后，含规则规定的等待时间",
                f"alarm {alarm} on the feed after {waited_s} s, the rule's wait included",
            )

    async def _follow_to_log(
        self, served: ServedLift, changed_at: int, gateway: str, before: int
    ) -> None:
        seen_at = await until(
            lambda: self._seen(served, changed_at),
            timeout_s=SEEN_TIMEOUT_S,
            what="the gateway reads the changed register",
            alive=self._alive,
        )
        self._tell.say(
            f"② 网关已读到，{seen_at - changed_at} 毫秒后",
            f"seen by the gateway, {seen_at - changed_at} ms later",
        )
        stored_at = await until(
            lambda: self._stored(gateway, before),
            timeout_s=SEEN_TIMEOUT_S,
            what="the reading reaches the log",
            alive=self._alive,
        )
        self._tell.say(
            f"③ 已写入日志并确认，{stored_at - changed_at} 毫秒后",
            f"in the log and settled, {stored_at - changed_at} ms later",
        )

    async def acknowledge(self, subject: Subject, heard: Heard) -> None:
        """Take the alarm as an operator would, by the API.

        Raises:
            StopService: it was refused, or did not show on the feed.

        """
        begun, alarm = self._clock.wall_ms(), heard.item.data["id"]
        status, answer = await self._api.call(
            "POST", f"/api/v1/alarms/{alarm}/acknowledge", {"note": "演示 · demonstration"}
        )
        if status != 200:
            raise StopService(f"acknowledging alarm {alarm} was answered {status}: {answer}")
        await self.hear(subject, "acknowledged", since=begun, timeout_s=SEEN_TIMEOUT_S)
        self._tell.say("⑤ 值班员已确认告警", "alarm acknowledged by the operator")

    async def rescue(self, subject: Subject) -> int:
        """Let people out; return when that was, ms since 1970."""
        begun = self._clock.wall_ms()
        self._city.apply(actions.Clear(lift=subject.served.index))
        self._tell.say(
            f"⑥ 救援人员到场，放出被困乘客：{subject.name}",
            f"rescuers let people out of the lift, unit {subject.served.unit_id}",
        )
        return begun

    async def hear(self, subject: Subject, state: str, *, since: int, timeout_s: float) -> Heard:
        """Wait for the alarm in a state on the feed.

        Raises:
            StopService: it did not come in time.

        """

        async def look() -> Heard | None:
            return self._feed.find(asset=subject.asset, alert=ALERT, state=state, since=since)

        return await until(
            look,
            timeout_s=timeout_s,
            what=f"alarm {ALERT} of {subject.asset} {state} on the feed",
            alive=self._alive,
        )

    @staticmethod
    async def _seen(served: ServedLift, changed_at: int) -> int | None:
        return served.seen_at if served.seen_at >= changed_at else None

    async def _stored(self, gateway: str, before: int) -> int | None:
        return self._clock.wall_ms() if await self._alarm_batches(gateway) > before else None

    async def _alarm_batches(self, gateway: str) -> int:
        status, answer = await self._api.call("GET", f"/api/v1/gateways/{gateway}")
        spools: list[dict[str, Any]] = answer.get("spools", []) if status == 200 else []
        return sum(int(one["batches"]) for one in spools if one["stream"] == "alarm")
