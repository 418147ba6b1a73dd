"""What a mosquitto log tells of refusals. Lines of its versions 2.0, with either kind of time."""

import re
from collections.abc import Iterable

import msgspec

from cloud.model.refusal import Refusal, RefusalKind
from protocols.clock import parse_time
from protocols.errors import RefuseInput
from protocols.ids import GATEWAY_ID, shard_of
from protocols.topics import ROOT

DISTINCT_MAX = 200
"""So many different things of one reading are told apart; the rest counts as `…` of its party."""
OPENING_MAX = 100
OWN_PREFIX = "suyuan-"
"""Client ids of the service begin so; no gateway's does."""
UNKNOWN = "?"
OTHERS = "…"
_LINE = re.compile(r"(\S+): (.*)")
_DENIED = re.compile(r"Denied PUBLISH from (\S+) \(d\d, q\d, r\d, m\d+, '(.*)', \.\.\. \(")
_SUBSCRIBED = re.compile(r"(\S+) [012] (\S.*)")
_FAILED = re.compile(r"Client connection from (\S+) failed: (?:error:\w+:[^:]*:[^:]*:)?(.*?)\.?")
_TLS = re.compile(r"OpenSSL Error\[\d+\]: (?:error:\w+:[^:]*:[^:]*:)?(.*)")
_OPENING = re.compile(r"New connection from (\S+?)(?::\d+)? on port \d+\.")
_OPENED = re.compile(r"New client connected from (\S+?)(?::\d+)? as ")
_ABOUT_CERTIFICATES = re.compile("certificate|unknown ca")


class LogReader:
    """Reads lines in order; remembers who is about to connect, for some lines tell no address."""

    def __init__(self) -> None:
        self._opening: list[str] = []

    def read(self, lines: Iterable[str], now_ms: int) -> list[Refusal]:
        """Return the refusals that these lines tell of, the same ones counted together.

        `now_ms`: the time of lines that tell none, ms since 1970.
        """
        found: dict[tuple[RefusalKind, str, str], Refusal] = {}
        for line in lines:
            match = _LINE.fullmatch(line)
            told = self._understand(match[2]) if match else None
            if match and told:
                _count(found, told, _time(match[1], now_ms))
        return list(found.values())

    def _understand(self, text: str) -> tuple[RefusalKind, str, str] | None:
        if match := _DENIED.match(text):
            return "publish", match[1], match[2]
        if match := _FAILED.fullmatch(text):
            return self._certificate(match[1], match[2])
        if match := _TLS.fullmatch(text):
            return self._certificate(self._opener(), match[1])
        if match := _OPENING.fullmatch(text):
            self._opening = [*self._opening, match[1]][-OPENING_MAX:]
        elif match := _OPENED.match(text):
            if match[1] in self._opening:
                self._opening.remove(match[1])
        elif text.startswith("Client <unknown> "):
            self._opening.clear()
        elif (match := _SUBSCRIBED.fullmatch(text)) and not may_read(match[1], match[2]):
            return "subscribe", match[1], match[2]
        return None

    def _opener(self) -> str:
        """Return who is about to connect, if only one can be meant."""
        return self._opening[0] if len(set(self._opening)) == 1 else UNKNOWN

    @staticmethod
    def _certificate(who: str, what: str) -> tuple[RefusalKind, str, str] | None:
        return ("certificate", who, what) if _ABOUT_CERTIFICATES.search(what) else None


def may_read(client_id: str, topic_filter: str) -> bool:
    """Tell whether a filter matches nothing but what is meant for this gateway.

    mosquitto grants every subscription and delivers what the reader may read, so that what was
    refused is seen by the filter alone. Who is no gateway is none of our business.
    """
    if client_id.startswith(OWN_PREFIX) or not GATEWAY_ID.fullmatch(client_id):
        return True
    own = f"{ROOT}/{shard_of(client_id)}/{client_id}/down/"
    return topic_filter.startswith(own)


def _count(
    found: dict[tuple[RefusalKind, str, str], Refusal],
    told: tuple[RefusalKind, str, str],
    at: int,
) -> None:
    kind, who, what = told[0], told[1][:64], told[2][:200]
    if (kind, who, what) not in found and len(found) >= DISTINCT_MAX:
        who, what = (who if (kind, who, OTHERS) in found else OTHERS), OTHERS
    known = found.get((kind, who, what))
    if known is None:
        found[kind, who, what] = Refusal(kind=kind, who=who, what=what, first_at=at, last_at=at)
    else:
        found[kind, who, what] = msgspec.structs.replace(
            known, last_at=max(at, known.last_at), count=known.count + 1
        )


def _time(text: str, now_ms: int) -> int:
    """Read seconds since 1970, or ISO 8601 with its zone."""
    if text.isdigit():
        return int(text[:11]) * 1000
    try:
        return parse_time(text)
    except RefuseInput:
        return now_ms
