"""When the certificate is renewed, when not, and what a failure says."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from edge.identity.asking import Reply
from edge.identity.enrol import enrol
from edge.identity.files import IdentityFolder
from edge.identity.renewal import Life, Renewer
from protocols.enrolment import EnrolRequest, RenewRequest
from protocols.errors import RetryLater
from tests.support.authority import Bureau, open_bureau

DAY_MS = 86_400_000
SERVER = "http://service.test"


class Gateway:
    """An enrolled gateway with a desk behind it, and a renewer."""

    def __init__(self, bureau: Bureau, state: Path) -> None:
        self.bureau, self.folder = bureau, IdentityFolder(state)
        self.away = False
        self.bend: Callable[[Reply], Reply] = lambda reply: reply
        self.expired = self.clockless = False
        self.renewed = 0
        enrol(SERVER, str(bureau.desk.invite("gw-1")[0]), state, self.post)
        self.first = self.certificate
        self.renewer = Renewer(
            self.folder,
            now_ms=lambda: None if self.clockless else bureau.clock.wall_ms(),
            told_expired=lambda: self.expired,
            renewed=self._renewed,
            ask=self.post,
            rng=random.Random(5),
        )

    def post(self, url: str, body: bytes, _header: str) -> Reply:
        if self.away:
            raise RetryLater("nobody answers")
        if url.endswith("/renew"):
            request = msgspec.json.decode(body, type=RenewRequest)
            answer = self.bureau.desk.renew(request, address="a")
        else:
            answer = self.bureau.desk.enrol(
                msgspec.json.decode(body, type=EnrolRequest), address="a"
            )
        return self.bend(Reply(answer.body, answer.proof))

    def _renewed(self) -> None:
        self.renewed += 1
        self.expired = False

    @property
    def certificate(self) -> str:
        return (self.folder.path / "cert.pem").read_text()

    async def run(self, seconds: float = 0.5) -> None:
        """Run the renewer for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.renewer.run()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    bureau = open_bureau(tmp_path / "cloud")
    yield Gateway(bureau, tmp_path / "state")
    bureau.database.close()


@pytest.mark.parametrize(("share", "day"), [(0.0, 60), (1.0, 69)])
def test_due_when_a_third_is_left_and_a_little_later_for_some(share: float, day: int) -> None:
    assert Life(0, 90 * DAY_MS).due_ms(share) == pytest.approx(day * DAY_MS, abs=1)


async def test_renewed_when_it_is_time_and_not_before(gateway: Gateway) -> None:
    gateway.bureau.clock.advance(59 * DAY_MS)
    await gateway.run()
    assert gateway.renewed == 0
    gateway.bureau.clock.advance(11 * DAY_MS)
    await gateway.run()
    assert gateway.renewed == 1
    assert gateway.certificate != gateway.first
    assert gateway.renewer.counters["certificate_renewals"] == 1


async def test_without_a_clock_it_waits(gateway: Gateway) -> None:
    gateway.clockless = True
    gateway.bureau.clock.advance(89 * DAY_MS)
    await gateway.run()
    assert gateway.renewed == 0


async def test_without_a_clock_the_broker_s_word_is_enough(gateway: Gateway) -> None:
    """Away for months, expired, the clock unset: the service decides within its grace."""
    gateway.clockless = gateway.expired = True
    gateway.bureau.clock.advance(200 * DAY_MS)
    await gateway.run()
    assert gateway.renewed == 1


async def test_too_long_away_says_enrol_again(gateway: Gateway) -> None:
    gateway.bureau.clock.advance(300 * DAY_MS)
    await gateway.run()
    assert gateway.renewed == 0
    assert "enrol again" in gateway.renewer.why
    assert gateway.certificate == gateway.first


async def test_nobody_answers_and_then_somebody_does(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.identity.renewal.RETRY_FIRST_S", 0.01)
    gateway.away = True
    gateway.bureau.clock.advance(70 * DAY_MS)
    await gateway.run()
    assert "nobody answers" in gateway.renewer.why
    gateway.away = False
    await gateway.run(1.0)
    assert gateway.renewed == 1
    assert gateway.renewer.why == ""


@pytest.mark.parametrize(
    "bend",
    [
        lambda reply: Reply(reply.body.replace(b"broker.test", b"broker.evil"), reply.proof),
        lambda reply: Reply(reply.body, ""),
        lambda reply: Reply(reply.body, "zz"),
        lambda reply: Reply(b"{}", reply.proof),
    ],
)
async def test_answer_that_the_authority_did_not_sign_is_not_taken(
    gateway: Gateway, bend: Callable[[Reply], Reply]
) -> None:
    gateway.bend = bend
    gateway.bureau.clock.advance(70 * DAY_MS)
    await gateway.run()
    assert gateway.renewed == 0
    assert "not our authority" in gateway.renewer.why
    assert gateway.certificate == gateway.first


async def test_damaged_files_are_said_and_stop_nothing(gateway: Gateway) -> None:
    (gateway.folder.path / "cert.pem").write_bytes(b"\x00" * 100)
    await gateway.run(0.2)
    assert "cert.pem" in gateway.renewer.why
