"""Certificates and codes, good and bad, against a real broker and service; prints one line.

    python -m tests.campaigns.certificates --cases 100 --seed 1

One gateway's daemon is started again and again with an identity that was spoiled in some way, and
makes readings all the time. Each time the link must come about or not, as it has to be, and say
why; in the end every batch must be in the cloud's log. Between these, others ask for certificates
with codes and requests of every kind.
"""

import argparse
import asyncio
import base64
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud.model.database import Database
from cloud.trust import setup as authority_setup
from cloud.trust.authority import (
    Authority,
    load_authority,
    make_authority,
    make_key,
    read_key,
    to_ms,
    to_pem,
)
from cloud.trust.book import (
    Issued,
    add_certificate,
    open_book,
    read_invite,
    revoke,
    write_invite,
)
from cloud.trust.desk import DAY_MS, TrustDesk
from edge.agent import Agent
from edge.identity.asking import Reply, ask
from edge.identity.enrol import enrol
from edge.identity.files import make_csr
from edge.identity.using import with_identity
from edge.setup import load_setup
from edge.sources.base import Emit, Sample
from edge.uplink import backoff
from protocols.clock import SystemClock
from protocols.enrolment import ENROL_PATH, RENEW_PATH, Code, EnrolRequest, request_proof
from protocols.errors import RefuseInput
from tests.campaigns.audit import edge_last_seqs
from tests.support.authority import enrol_request, new_key, renew_request
from tests.support.stack import wait_until
from tests.support.trust_stack import TrustStack

GATEWAY = "gw-campaign"
LINK_S = 8.0
"""So long a link may take to come about or to be refused."""
STILL_S = 0.3
"""So long is watched whether a refused one comes about after all."""
SAMPLES = 5


class Case(NamedTuple):
    """What is tried, and how it must end."""

    name: str
    spoil: Callable[["Field"], object]
    linked: bool
    says: str = ""
    """Part of what the status must say when there is no link."""


class Readings:
    """A source that makes some readings at each start."""

    name = "script"

    async def run(self, emit: Emit) -> None:
        """Emit, then wait for the end."""
        clock = SystemClock()
        for number in range(SAMPLES):
            emit(
                Sample(
                    asset="elevator:1",
                    at_boot_ms=clock.boot_ms(),
                    stream="data",
                    values={"speed": float(number)},
                )
            )
        await asyncio.Event().wait()

    def status(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}


class Unset(SystemClock):
    """A machine that was never told the time."""

    def wall_ms(self) -> int:
        """Since 1970, which was at boot."""
        return super().boot_ms()


class Field:
    """The stack, the authority behind it, and the one gateway's files."""

    def __init__(self, stack: TrustStack, seed: int) -> None:
        self.stack, self.rng = stack, random.Random(seed)
        self.ca = stack.data / "ca"
        self.authority = load_authority(self.ca)
        self.database: Database = open_book(self.ca)
        self.desk: TrustDesk = authority_setup.open_desk(
            stack.data, self.database, clock=SystemClock()
        )
        (stack.folder / "foreign").mkdir()
        now_ms = SystemClock().wall_ms()
        self.foreign = make_authority(stack.folder / "foreign", now_ms)
        self.state = stack.folder / GATEWAY
        self.good = stack.folder / "good"
        self.unset_clock = False
        self.others = 0
        enrol(stack.url, str(self.desk.invite(GATEWAY)[0]), self.state, ask)
        self.keep()

    @property
    def identity(self) -> Path:
        """The gateway's identity folder."""
        return self.state / "identity"

    def keep(self) -> None:
        """The identity as it is now is the good one."""
        shutil.rmtree(self.good, ignore_errors=True)
        shutil.copytree(self.identity, self.good)

    def put_back(self) -> None:
        """Put the good identity back."""
        shutil.rmtree(self.identity)
        shutil.copytree(self.good, self.identity)
        self.unset_clock = False

    def certify(
        self,
        *,
        authority: Authority | None = None,
        name: str = GATEWAY,
        from_day: float = 0.0,
        days: float = 30.0,
        server: bool = False,
    ) -> Issued:
        """Put a certificate of the gateway's key into its place, known to the book."""
        key = read_key(self.identity / "key.pem").public_key()
        at_ms = SystemClock().wall_ms() + int(from_day * DAY_MS)
        made = (authority or self.authority).sign(
            key, name, usage="server" if server else "client", now_ms=at_ms, days=days
        )
        self.write("cert.pem", to_pem(made).encode())
        issued = Issued(
            f"{made.serial_number:x}",
            name,
            f"{made.serial_number:064x}",
            to_pem(made),
            at_ms,
            to_ms(made.not_valid_after_utc),
            None,
            None,
            None,
        )
        if authority is None:
            self.database.write_now(lambda c: add_certificate(c, issued))
        return issued

    def write(self, name: str, data: bytes) -> None:
        """Write one of the identity's files."""
        (self.identity / name).write_bytes(data)

    def read(self, name: str) -> bytes:
        """Read one of them."""
        return (self.identity / name).read_bytes()

    def damage(self, name: str) -> None:
        """Tear a file, or fill a part of it with noise."""
        data = bytearray(self.read(name))
        how = self.rng.randrange(3)
        if how == 0:
            data = data[: self.rng.randrange(len(data) // 2)]
        elif how == 1:
            at = self.rng.randrange(30, len(data) // 2)
            data[at : at + 40] = self.rng.randbytes(40)
        else:
            data = bytearray(len(data))
        self.write(name, bytes(data))

    def other(self) -> str:
        """Return the id of a gateway that nobody had before."""
        self.others += 1
        return f"gw-other-{self.others}"

    def post(self, path: str, request: msgspec.Struct | bytes) -> httpx.Response:
        """Post from an address of its own: the service bounds failures by address."""
        where = f"127.{self.rng.randrange(1, 255)}.{self.rng.randrange(255)}.1"
        body = request if isinstance(request, bytes) else msgspec.json.encode(request)
        with httpx.Client(transport=httpx.HTTPTransport(local_address=where)) as client:
            return client.post(self.stack.url + path, content=body)


# --- what may be wrong with a gateway's identity ---------------------------------------------


def _nothing(_field: Field) -> None:
    return


def _revoked(field: Field) -> None:
    issued = field.certify()
    now_ms = SystemClock().wall_ms()
    field.database.write_now(lambda c: revoke(c, [issued.serial], now_ms, "revoked"))
    field.desk.publish_revoked()
    time.sleep(0.5)  # the broker looks for its signal ten times a second


def _not_its_key(field: Field) -> None:
    (field.identity / "key.pem").unlink()
    make_key(field.identity / "key.pem")


def _self_signed(field: Field) -> None:
    key = read_key(field.identity / "key.pem")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, GATEWAY)])
    good = x509.load_pem_x509_certificate(field.read("cert.pem"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    field.write("cert.pem", to_pem(made).encode())


def _power_cut(field: Field) -> None:
    field.write("next-key.pem", field.read("key.pem"))
    field.write("key.pem", b"")


def _unset_clock(field: Field) -> None:
    field.unset_clock = True


CASES = [
    Case("good", _nothing, linked=True),
    Case("good, clock in 1970", _unset_clock, linked=True),
    Case("power cut between certificate and key", _power_cut, linked=True),
    Case("old, renewed at once", lambda f: f.certify(from_day=-25), linked=True),
    Case("expired, within the grace", lambda f: f.certify(from_day=-60), linked=True),
    Case("expired too long ago", lambda f: f.certify(from_day=-300), linked=False, says="date"),
    Case("not yet valid", lambda f: f.certify(from_day=2), linked=False, says="not yet valid"),
    Case("of another name", lambda f: f.certify(name="gw-x"), linked=False, says="CN=gw-x"),
    Case("of another authority", lambda f: f.certify(authority=f.foreign), False, "authority"),
    Case("for servers", lambda f: f.certify(server=True), linked=False),
    Case("self-signed", _self_signed, linked=False),
    Case("revoked", _revoked, linked=False, says="revoked"),
    Case("not of its key", _not_its_key, linked=False, says="key.pem"),
    Case("damaged certificate", lambda f: f.damage("cert.pem"), linked=False, says="cert.pem"),
    Case("damaged key", lambda f: f.damage("key.pem"), linked=False, says="key.pem"),
    Case("damaged authority", lambda f: f.damage("ca.pem"), linked=False),
    Case("missing key", lambda f: (f.identity / "key.pem").unlink(), False, "key.pem"),
    Case(
        "broker of another authority",
        lambda f: f.write("ca.pem", f.foreign.pem.encode()),
        linked=False,
        says="another broker",
    ),
]


async def _attempt(field: Field, case: Case) -> str:
    """Run the daemon on the files as they are; returns what is wrong, empty when nothing is."""
    setup = load_setup(field.state / "site.toml", None)
    site = with_identity(setup.site, setup.file, field.state)
    agent = Agent(
        msgspec.structs.replace(setup, site=site),
        lambda _site, _catalog: ([Readings()], []),
        state_dir=field.state,
        clock=Unset() if field.unset_clock else SystemClock(),
        rng=field.rng,
        version="campaign",
    )
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(stop))
    try:
        link = await _watch_link(agent, linked=case.linked)
        if link["up"] and not case.linked:
            return "it was let in"
        if not link["up"] and case.linked:
            return f"no link: {link['why']}"
        if not case.linked and case.says not in link["why"]:
            return f"it says {link['why']!r}"
        return ""
    finally:
        stop.set()
        await running


async def _watch_link(agent: Agent, *, linked: bool) -> dict[str, Any]:
    """Wait until the link is up, or was refused and stays so for a moment."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LINK_S
    while loop.time() < deadline:
        status = agent.status()
        if status["link"]["up"]:
            return dict(status["link"])
        if not linked and status["counters"]["connects_failed"]:
            await asyncio.sleep(STILL_S)
            return dict(agent.status()["link"])
        await asyncio.sleep(0.02)
    return dict(agent.status()["link"])


# --- what may be wrong with a request --------------------------------------------------------


def _ask_with(field: Field, code: Code, csr: str) -> httpx.Response:
    proof = request_proof(code.key(), csr)
    return field.post(ENROL_PATH, EnrolRequest(gateway_id=code.gateway_id, csr=csr, proof=proof))


def _answer_lost(field: Field) -> str:
    code, key = field.desk.invite(field.other())[0], new_key()
    answers = [field.post(ENROL_PATH, enrol_request(code, key)).json() for _ in range(2)]
    return "" if answers[0]["certificate"] == answers[1]["certificate"] else "two certificates"


def _code_used(field: Field) -> str:
    code = field.desk.invite(field.other())[0]
    field.post(ENROL_PATH, enrol_request(code, new_key()))
    return _must(field.post(ENROL_PATH, enrol_request(code, new_key())), "code_used")


def _code_wrong(field: Field) -> str:
    code = field.desk.invite(field.other())[0]
    secret = "".join(field.rng.sample(code.secret, len(code.secret)))
    if secret == code.secret:
        return ""
    return _must(
        field.post(ENROL_PATH, enrol_request(code._replace(secret=secret), new_key())), "bad_code"
    )


def _code_foreign(field: Field) -> str:
    mine, theirs = (field.desk.invite(field.other())[0] for _ in range(2))
    request = enrol_request(mine._replace(secret=theirs.secret), new_key())
    return _must(field.post(ENROL_PATH, request), "bad_code")


def _code_void(field: Field) -> str:
    name = field.other()
    first = field.desk.invite(name)[0]
    field.desk.invite(name)
    return _must(field.post(ENROL_PATH, enrol_request(first, new_key())), "bad_code")


def _code_expired(field: Field) -> str:
    code = field.desk.invite(field.other())[0]
    invited = field.database.read_now(lambda c: read_invite(c, code.gateway_id))
    assert invited is not None
    over = invited._replace(expires_at=invited.created_at - 1)
    field.database.write_now(lambda c: write_invite(c, over))
    return _must(field.post(ENROL_PATH, enrol_request(code, new_key())), "code_expired")


def _csr_damaged(field: Field) -> str:
    code = field.desk.invite(field.other())[0]
    whole = x509.load_pem_x509_csr(make_csr(new_key(), code.gateway_id).encode())
    data = bytearray(whole.public_bytes(serialization.Encoding.DER))
    for _ in range(field.rng.randint(1, 3)):
        data[field.rng.randrange(len(data))] ^= field.rng.randint(1, 255)
    if field.rng.random() < 0.3:
        data = data[: field.rng.randrange(1, len(data))]
    text = base64.b64encode(data).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"
    return _must(_ask_with(field, code, pem), "bad_csr")


def _csr_of_another(field: Field) -> str:
    code = field.desk.invite(field.other())[0]
    return _must(_ask_with(field, code, make_csr(new_key(), GATEWAY)), "bad_csr")


def _csr_other_curve(field: Field) -> str:
    code = field.desk.invite(field.other())[0]
    key = ec.generate_private_key(ec.SECP384R1())
    return _must(_ask_with(field, code, make_csr(key, code.gateway_id)), "bad_csr")


def _not_json(field: Field) -> str:
    path = field.rng.choice([ENROL_PATH, RENEW_PATH])
    return _must(field.post(path, field.rng.randbytes(field.rng.randrange(2_000))), "bad_request")


def _answer_changed(field: Field) -> str:
    """Somebody in between changes one byte of the answer: the gateway takes nothing of it."""

    def bend(url: str, body: bytes, header: str) -> Reply:
        reply = ask(url, body, header)
        data = bytearray(reply.body)
        data[field.rng.randrange(len(data))] ^= 1
        return Reply(bytes(data), reply.proof)

    code = field.desk.invite(field.other())[0]
    state = field.stack.folder / code.gateway_id
    try:
        enrol(field.stack.url, str(code), state, bend)
    except RefuseInput as error:
        stored = (state / "identity" / "cert.pem").exists()
        return "it was stored" if stored or error.reason != "bad_answer" else ""
    return "it was taken"


def _renewal_of_another(field: Field) -> str:
    text = (field.good / "cert.pem").read_text()
    ask_for = renew_request(text, new_key(), new_key(), GATEWAY)
    return _must(field.post(RENEW_PATH, ask_for), "bad_certificate")


def _renewal_revoked(field: Field) -> str:
    code, key = field.desk.invite(field.other())[0], new_key()
    given = field.post(ENROL_PATH, enrol_request(code, key)).json()
    field.desk.revoke(code.gateway_id)
    ask_for = renew_request(given["certificate"], key, new_key(), code.gateway_id)
    return _must(field.post(RENEW_PATH, ask_for), "certificate_revoked")


def _renewal_foreign(field: Field) -> str:
    key = new_key()
    made = field.foreign.sign(
        key.public_key(), GATEWAY, usage="client", now_ms=SystemClock().wall_ms(), days=9
    )
    ask_for = renew_request(to_pem(made), key, new_key(), GATEWAY)
    return _must(field.post(RENEW_PATH, ask_for), "bad_certificate")


def _must(answer: httpx.Response, reason: str) -> str:
    """Tell what is wrong with an answer that must refuse for `reason`."""
    found = answer.json().get("type", "") if answer.status_code != 200 else "200"
    if 400 <= answer.status_code < 500 and found == f"urn:suyuan:problem:{reason}":
        return ""
    return f"expected {reason}, found {answer.status_code} {found}"


REQUESTS: dict[str, Callable[[Field], str]] = {
    "answer lost, asked again": _answer_lost,
    "code used": _code_used,
    "code wrong": _code_wrong,
    "code of another": _code_foreign,
    "code void": _code_void,
    "code expired": _code_expired,
    "damaged request": _csr_damaged,
    "request for another name": _csr_of_another,
    "request with another curve": _csr_other_curve,
    "no JSON": _not_json,
    "answer changed on its way": _answer_changed,
    "renewal with another key": _renewal_of_another,
    "renewal of a revoked one": _renewal_revoked,
    "renewal of a foreign one": _renewal_foreign,
}


class Result(NamedTuple):
    """What came of it."""

    faults: list[str]
    crashes: int
    batches: int
    stored: int
    declared_lost: int
    tried: Counter[str]


async def run(folder: Path, cases: int, seed: int) -> Result:
    """Run `cases` cases, each kind in turn before any comes again, in an order of the seed."""
    backoff.FIRST_S = 0.05
    stack = TrustStack(folder)
    faults, crashes, tried = [], 0, Counter[str]()
    try:
        await asyncio.to_thread(stack.start)
        field = await asyncio.to_thread(Field, stack, seed)
        for name in _order(cases, field.rng):
            tried[name] += 1
            try:
                fault = await _one(field, name)
            except Exception:  # noqa: BLE001  # whatever it is, it is a crash
                traceback.print_exc()
                crashes += 1
                continue
            if fault:
                faults.append(f"{name}: {fault}")
        account = await _finish(field)
        field.database.close()
        return Result(faults, crashes, *account, tried)
    finally:
        await asyncio.to_thread(stack.stop)


async def _one(field: Field, name: str) -> str:
    case = next((one for one in CASES if one.name == name), None)
    if case is None:
        return await asyncio.to_thread(REQUESTS[name], field)
    try:
        await asyncio.to_thread(case.spoil, field)
        fault = await _attempt(field, case)
        if case.linked and not field.unset_clock:
            field.keep()  # it may have been renewed, and then the earlier one is void
        return fault
    finally:
        field.put_back()


def _order(cases: int, rng: random.Random) -> list[str]:
    kinds = [case.name for case in CASES] + list(REQUESTS)
    order: list[str] = []
    while len(order) < cases:
        order += rng.sample(kinds, len(kinds))
    return order[:cases]


async def _finish(field: Field) -> tuple[int, int, int]:
    """Run once more with the good identity; return batches made, stored and declared lost."""
    await _attempt(field, CASES[0])
    made = sum(edge_last_seqs(field.state).values())

    def account() -> tuple[int, int]:
        spools = field.stack.get(f"/api/v1/gateways/{GATEWAY}")["spools"]
        stored = sum(one["batches"] for one in spools)
        return stored, sum(one["declared_lost"] for one in spools)

    try:
        await asyncio.to_thread(
            wait_until, lambda: sum(account()) >= made, timeout_s=20, what="all settled"
        )
    except TimeoutError as error:
        print(error)
    return made, *account()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="suyuan-certificates-"))
    started = time.monotonic()
    found = asyncio.run(run(folder, options.cases, options.seed))
    for fault in found.faults:
        print(f"  {fault}")
    print(
        f"certificates: {sum(found.tried.values())} cases of {len(found.tried)} kinds, "
        f"seed {options.seed}, {time.monotonic() - started:.0f} s: "
        f"{len(found.faults)} wrong, {found.crashes} crashes; "
        f"batches made {found.batches} = stored {found.stored} "
        f"+ declared lost {found.declared_lost}"
    )
    whole = found.batches == found.stored + found.declared_lost and not found.declared_lost
    return 0 if whole and not found.faults and not found.crashes else 1


if __name__ == "__main__":
    sys.exit(main())
