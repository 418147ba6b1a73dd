"""Items by mail: each emergency in a mail of its own, the rest as the hour's number allows."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from cloud.feed.items import Item
from cloud.feed.receivers.base import TAKEN, Destination, Outcome
from cloud.feed.words import FeedWords, Language
from cloud.outbound.base import Mail
from protocols.clock import Clock, iso

LINES_MAX = 50
SEVERITY = {
    "emergency": ("紧急", "EMERGENCY"),
    "critical": ("严重", "Critical"),
    "warning": ("预警", "Warning"),
    "info": ("提示", "Info"),
}


class MailSender:
    """Plain text; a mail that was sent twice has one Message-ID."""

    keep_s, batch = None, True

    def __init__(
        self,
        to: Destination,
        mail: Mail | None,
        clock: Clock,
        words: FeedWords,
        *,
        base_url: str,
    ) -> None:
        self._to, self._mail, self._clock, self._base_url = to, mail, clock, base_url
        self._words = words
        self._host = urlsplit(base_url).hostname or "suyuan"
        self._zh = to.receiver.options.language == "zh"
        self._language: Language = "zh" if self._zh else "en"

    async def send(self, items: Sequence[Item]) -> Outcome:
        """Send one item, or several of the rest as one mail."""
        subject, text = self._one(items[0]) if len(items) == 1 else self._several(items)
        last = f"-{items[-1].offset}" if len(items) > 1 else ""
        return await self._send(subject, text, f"{items[0].offset}{last}")

    async def test(self) -> Outcome:
        """Send a mail that says that it is a test."""
        subject = "推送接收方测试邮件" if self._zh else "A test of this receiver"
        text = "本邮件仅用于测试。" if self._zh else "Nothing has happened; this is a test."
        return await self._send(subject, text, f"test{self._clock.wall_ms()}")

    async def keep(self) -> Outcome:
        """Nothing is told again."""
        return TAKEN

    async def close(self) -> None:
        """No connection is kept."""

    async def _send(self, subject: str, text: str, number: str) -> Outcome:
        if self._mail is None:
            return Outcome(ok=False, detail="this service sends no mail")
        to = self._to.receiver
        message_id = f"<{to.key}.{number}@{self._host}>"
        await self._mail.send(to.address, subject, text, message_id=message_id)
        return TAKEN

    def _one(self, item: Item) -> tuple[str, str]:
        about, place = item.about, item.place
        names = ("状态", "变化", "设备", "位置", "时间") if self._zh else ()
        names = names or ("State", "Change", "Asset", "Where", "At")
        where = " ".join(filter(None, (place.name, place.district, place.address)))
        state = self._words.state(about.state, self._language)
        change = self._words.change(about.change, self._language)
        values = (state, change, about.asset, where, iso(item.at))
        between = "：" if self._zh else ": "
        lines = [
            f"{name}{between}{value}" for name, value in zip(names, values, strict=True) if value
        ]
        if self._base_url:
            lines += ["", f"{self._base_url}{item.page}"]
        return self._line(item), "\n".join(lines)

    def _several(self, items: Sequence[Item]) -> tuple[str, str]:
        shown = [f"{iso(one.at)}  {self._line(one)}" for one in items[:LINES_MAX]]
        left = len(items) - len(shown)
        if left:
            shown.append(f"……另有 {left} 条" if self._zh else f"… and {left} more")
        if self._base_url:
            shown += ["", f"{self._base_url}/"]
        count = len(items)
        subject = f"另有 {count} 条告警信息" if self._zh else f"{count} more from the feed"
        return subject, "\n".join(shown)

    def _line(self, item: Item) -> str:
        about = item.about
        zh, en = SEVERITY[about.severity]
        drill = ("【演练】" if self._zh else "[drill] ") if about.drill else ""
        head = f"【{zh}】" if self._zh else f"[{en}] "
        title = item.title("zh" if self._zh else "en")
        state = self._words.state(about.state, self._language)
        after = f"（{state}）" if self._zh else f" ({state})"
        return f"{drill}{head}{title} {item.place.name or about.asset}{after}"
