"""What a page shows once, on its way from the post that made it to the page that shows it.

It goes along in a cookie of the browser, sealed: no address and no log holds it, nothing is kept
here, and the page may come from another process than took the post.
"""

import base64
import hmac
from collections.abc import Mapping

import msgspec
from cryptography.fernet import Fernet, InvalidToken

GOOD_S = 120
"""From the post to the page that it leads to."""
_content = msgspec.json.Decoder(tuple[str, str, dict[str, str]])


class ShownOnce:
    """Seals under a key made of a secret that all processes of a service share."""

    def __init__(self, secret: bytes) -> None:
        key = hmac.digest(secret, b"suyuan.shown-once", "sha256")
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, what: str, content: Mapping[str, str], *, session: str, now_ms: int) -> str:
        """Seal a content for the page `what` of a session; an empty session: of none."""
        plain = msgspec.json.encode((what, session, content))
        return self._fernet.encrypt_at_time(plain, now_ms // 1000).decode()

    def unseal(
        self, what: str, sealed: str, *, session: str, now_ms: int
    ) -> Mapping[str, str] | None:
        """Return it; None when it is none of ours, too old, for another page or session."""
        try:
            plain = self._fernet.decrypt_at_time(
                sealed.encode("utf-8", "replace"), GOOD_S, now_ms // 1000
            )
        except InvalidToken:
            return None
        page, bound, content = _content.decode(plain)
        return content if (page, bound) == (what, session) else None
