"""`suyuan-edge enroll`: from a one-time code to a certificate, and a site file to begin with."""

import hmac
from pathlib import Path

import msgspec

from edge.identity.asking import Ask, check_server
from edge.identity.files import IdentityFolder, make_csr
from protocols.enrolment import (
    ENROL_PATH,
    PROOF_HEADER,
    Enrolled,
    EnrolRequest,
    answer_proof,
    parse_code,
    request_proof,
)
from protocols.errors import RefuseInput

SITE_FILE = "site.toml"
SITE = """\
schema = 1
gateway_id = "{gateway_id}"

# The broker and the certificates come from the enrolment: no [uplink] is needed.

# A lift controller on Modbus TCP; `suyuan-edge check --site {file}` names what is wrong.
# [[buses]]
# id = "shaft-1"
# kind = "modbus_tcp"
# host = "192.168.1.20"
#
#   [[buses.devices]]
#   asset = "elevator:31101099920240017"
#   controller = "gbt24476-adapter"

# [[scanners]]
# id = "gate-1"
# kind = "barcode_serial"
# device = "/dev/serial/by-id/…"
# step = "receiving"
"""


def enrol(server: str, code_text: str, state: Path, ask: Ask) -> Enrolled:
    """Make a key, have it certified, and store what makes this gateway what it is.

    May be repeated with the same code until it succeeds.

    Raises:
        RefuseInput: `bad_code`, `bad_server`, `bad_answer`, or the service's own reason.
        RetryLater: no answer came.

    """
    server, code = check_server(server), parse_code(code_text)
    folder = IdentityFolder(state)
    folder.settle()
    csr = make_csr(folder.next_key(), code.gateway_id)
    key = code.key()
    request = EnrolRequest(gateway_id=code.gateway_id, csr=csr, proof=request_proof(key, csr))
    reply = ask(server + ENROL_PATH, msgspec.json.encode(request), PROOF_HEADER)
    if not hmac.compare_digest(reply.proof.encode(), answer_proof(key, csr, reply.body).encode()):
        raise RefuseInput("bad_answer", "whoever answered does not know the code")
    given = decode(reply.body)
    if given.gateway_id != code.gateway_id:
        raise RefuseInput("bad_answer", f"it is about {given.gateway_id}")
    folder.take(given, server=server)
    write_site(state, given.gateway_id)
    return given


def decode(body: bytes) -> Enrolled:
    """Read an answer; RefuseInput `bad_answer` when it is none."""
    try:
        return msgspec.json.decode(body, type=Enrolled)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefuseInput("bad_answer", str(error)[:200]) from None


def write_site(state: Path, gateway_id: str) -> None:
    """Leave a site file to begin with, unless there is one."""
    file = state / SITE_FILE
    try:
        with file.open("x", encoding="utf-8") as site:
            site.write(SITE.format(gateway_id=gateway_id, file=file))
    except FileExistsError:
        return
