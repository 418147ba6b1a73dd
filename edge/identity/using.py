"""Where to send, and as whom: what the site file says, else what enrolment left."""

import logging
from pathlib import Path

import msgspec

from edge.identity.files import CA, CERTIFICATE, KEY, IdentityFolder
from edge.settings import Site
from protocols.errors import Fault, FixConfiguration

log = logging.getLogger(__name__)

ADVICE = "a value, or a state folder where `suyuan-edge enroll` was run"


def with_identity(site: Site, file: Path, state: Path) -> Site:
    """Return the site with its uplink filled in; whatever the site file names stays.

    Where a card lost a part of what enrolment left, the gateway reads and keeps all the same; the
    link says what is missing.

    Raises:
        FixConfiguration: it names no broker and nobody enrolled, or somebody else did.

    """
    folder = IdentityFolder(state)
    folder.settle()
    uplink = site.uplink
    if not folder.leftovers():
        if not uplink.broker:
            raise FixConfiguration([Fault(str(file), "uplink.broker", ADVICE, "nothing")])
        return site
    if uplink.broker and not uplink.tls:
        return site
    told = None
    try:
        told = folder.uplink()
    except FixConfiguration as error:
        log.warning("%s", error)
    if told is not None and not uplink.cert_file and told.gateway_id != site.gateway_id:
        expected = f'"{told.gateway_id}", as which {state} is enrolled'
        raise FixConfiguration([Fault(str(file), "gateway_id", expected, site.gateway_id)])
    uplink = msgspec.structs.replace(
        uplink,
        broker=uplink.broker or (told.broker if told else ""),
        ca_file=uplink.ca_file or folder.file(CA),
        cert_file=uplink.cert_file or folder.file(CERTIFICATE),
        key_file=uplink.key_file or folder.file(KEY),
    )
    return msgspec.structs.replace(site, uplink=uplink)
