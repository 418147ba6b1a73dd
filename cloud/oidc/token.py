"""Whether an ID token proves what it says, for us, now."""

from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from protocols.errors import RefuseInput

ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
]
"""Signatures by a key that only the sign-on has; never `none`, never a shared secret."""
SKEW_S = 60
SUBJECT_CHARS_MAX = 200
TOKEN_CHARS_MAX = 32 * 1024


class UnknownKey(Exception):
    """Signed by a key that is not in the set: it may be newer than the set."""


def verify(
    id_token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None,
    now_s: int,
) -> dict[str, Any]:
    """Return the claims of an ID token.

    Raises:
        UnknownKey: try again with newer keys.
        RefuseInput: `bad_token`.

    """
    if len(id_token) > TOKEN_CHARS_MAX:
        raise RefuseInput("bad_token", "the ID token is too large")
    try:
        token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
                "sub": {"essential": True},
                "nonce": {"essential": True, "value": nonce},
            },
            params={"client_id": client_id, "nonce": nonce, "access_token": access_token},
        )
        claims.validate(now=now_s, leeway=SKEW_S)
    except (BadSignatureError, InvalidKeyIdError) as error:
        raise UnknownKey from error
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise RefuseInput("bad_token", f"the ID token: {type(error).__name__}") from error
    if len(claims["sub"]) > SUBJECT_CHARS_MAX:
        raise RefuseInput("bad_token", "the ID token: a subject that is too long")
    return dict(claims)
