"""The second factor: codes by time (TOTP, RFC 6238), and recovery codes for a lost telephone."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, insert, select

from cloud.model.database import take_turn
from cloud.model.tables import secret
from protocols.durable import PRIVATE, write_durably
from protocols.errors import StopService

KEY_FILE = "account.key"
PRINT_NAME = "second_factor_print"
STEP_S = 30
STEPS_AROUND = 1
"""A telephone's clock may be so many steps off."""
RECOVERY_CODES = 10
ISSUER = "Suyuan"
CHARS_MAX = 64
"""Of a recovery code as typed."""


class SecondFactor:
    """Makes secrets and looks at codes; what it keeps is sealed under a key in a file."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)
        self.print = hashlib.sha256(b"suyuan.second-factor " + key).digest()
        """Names the key, and does not tell it."""

    def new_secret(self) -> tuple[str, str]:
        """Return (secret in base32 for the person, the same sealed for the database)."""
        secret = pyotp.random_base32()
        return secret, self._fernet.encrypt(secret.encode()).decode()

    def step_of(self, sealed: str, code: str, now_ms: int, *, after: int | None) -> int | None:
        """Return the step whose code it is, None when it is none that is good now.

        `after`: the last step used; an earlier one, or the same, is no longer good.
        """
        try:
            secret = self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            return None
        plain = "".join(code.split()).encode("utf-8", "surrogatepass")
        totp, now = pyotp.TOTP(secret), now_ms // 1000 // STEP_S
        for step in range(now - STEPS_AROUND, now + STEPS_AROUND + 1):
            right = hmac.compare_digest(totp.generate_otp(step).encode(), plain)
            if right and (after is None or step > after):
                return step
        return None


def address_of(secret: str, username: str) -> str:
    """Return what an authenticator takes from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)


def new_recovery_codes() -> tuple[list[str], list[str]]:
    """Return (codes to show once, their hashes to keep)."""
    codes = [f"{secrets.token_hex(4)}-{secrets.token_hex(4)}" for _ in range(RECOVERY_CODES)]
    return codes, [recovery_hash(code) for code in codes]


def recovery_hash(code: str) -> str:
    """Return a recovery code as it is kept; the codes have 64 bits, so no slow hash is needed."""
    plain = "".join(char for char in code[:CHARS_MAX].lower() if char.isalnum())
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def without(recovery: Sequence[str], code: str) -> tuple[str, ...] | None:
    """Return the hashes that are left after `code` was used, None when it is none of them."""
    given = recovery_hash(code)
    left = tuple(one for one in recovery if not hmac.compare_digest(one, given))
    return left if len(left) < len(recovery) else None


def open_second_factor(file: Path) -> SecondFactor:
    """Read the key, made at the first start and readable by the service's user only.

    Raises:
        StopService: the key is damaged.

    """
    if not file.exists():
        write_durably(file, Fernet.generate_key(), PRIVATE)
    try:
        return SecondFactor(file.read_bytes().strip())
    except (OSError, ValueError) as error:
        raise StopService(f"the key of the second factors, {file}: {error}") from error


def is_the_key(connection: Connection, factor: SecondFactor) -> bool:
    """Tell whether it is this database's key, whose print is written down at the first start."""
    take_turn(connection, "access")
    query = select(secret.c.value).where(secret.c.name == PRINT_NAME)
    row = connection.execute(query).first()
    if row is None:
        connection.execute(insert(secret).values(name=PRINT_NAME, value=factor.print))
    return row is None or bytes(row.value) == factor.print
