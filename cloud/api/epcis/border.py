"""What holds for every call of the binding, before and after it is made."""

import re
from importlib.metadata import version

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.api.epcis.exceptions import is_epcis
from cloud.api.epcis.negotiate import CBV_VERSION, EPCIS_VERSION, asked_by, check_versions
from cloud.api.problems import problem, refusal
from protocols.errors import RefuseInput

URL_BYTES_MAX = 16 * 1024
EXTENSIONS = "cbvmda=urn:epcglobal:cbv:mda:,gs1=https://gs1.org/voc/"
"""Prefixes that hold without being declared."""
STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_EXTENSIONS = re.compile(r"[\x21-\x7e]+=[\x21-\x7e]+(,\s*[\x21-\x7e]+=[\x21-\x7e]+)*")


class EpcisBorder:
    """Keeps the parts of a path whole, looks at lengths and versions, and tells ours.

    An EPC or an event id in a path may hold percent-encoded slashes: routes see the path as it
    came, and what they take from it is decoded afterwards.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or not is_epcis(scope["path"]):
            await self._app(scope, receive, send)
            return
        raw = scope["raw_path"]
        scope = {**scope, "path": raw.decode("ascii", "replace")}
        headers = Headers(scope=scope)
        answering = _telling(send, headers.get("gs1-extensions", ""))
        if len(raw) + len(scope["query_string"]) > URL_BYTES_MAX:
            refused = problem(414, "uri_too_long", f"expected at most {URL_BYTES_MAX} bytes")
            await refused(scope, receive, answering)
            return
        try:
            check_versions(asked_by(HTTPConnection(scope)))
        except RefuseInput as error:
            await refusal(error)(scope, receive, answering)
            return
        await self._app(scope, receive, answering)


def _telling(send: Send, extensions: str) -> Send:
    known = _EXTENSIONS.fullmatch(extensions.strip())
    told = {
        "GS1-EPCIS-Version": EPCIS_VERSION,
        "GS1-CBV-Version": CBV_VERSION,
        "GS1-Extensions": extensions.strip() if known else EXTENSIONS,
        "GS1-Vendor-Version": f"suyuan-{version('suyuan')}",
    }

    async def with_headers(message: Message) -> None:
        if message["type"] in STARTS:
            headers = MutableHeaders(scope=message)
            for name, value in told.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers
