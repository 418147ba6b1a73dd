"""Sending mail through the site's own server, and nowhere else."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocols.errors import RefuseInput, RetryLater

PERMANENT = 500
"""SMTP answers from here on say that trying again is of no use."""


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail server that takes what the service sends; its password is $SUYUAN_SMTP_PASSWORD."""

    host: str = ""
    """Empty: the service sends no mail."""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    """Empty: it asks for none."""
    sender: str = ""
    """Address from which mail comes."""
    ca_file: str = ""
    """Authorities of the site's own, believed beside the system's."""
    timeout_s: Annotated[float, Meta(ge=1, le=120)] = 20.0

    def __post_init__(self) -> None:
        """Refuse a server without a sender, and a password in the clear."""
        if self.host and "@" not in self.sender:
            raise ValueError(f"sender: an address; found {self.sender!r}")
        if self.username and self.security == "none":
            raise ValueError("security: starttls or tls, where a password is sent; found none")


class Mailer:
    """What `cloud.outbound.base.Mail` says."""

    def __init__(self, settings: MailSettings, password: str | None) -> None:
        """Take the settings; the password for their user."""
        self._settings, self._password = settings, password or ""

    async def send(self, to: str, subject: str, text: str, *, message_id: str) -> None:
        """Send one mail; see `Mail`."""
        message = EmailMessage()
        try:
            message["From"], message["To"] = self._settings.sender, to
            message["Subject"], message["Message-ID"] = subject, message_id
            message["Auto-Submitted"] = "auto-generated"
        except ValueError as error:
            raise RefuseInput("bad_address", str(error)[:200]) from error
        message.set_content(text)
        await asyncio.to_thread(self._deliver, message)

    def _deliver(self, message: EmailMessage) -> None:
        try:
            with self._connect() as server:
                if self._settings.username:
                    server.login(self._settings.username, self._password)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, said),) = list(error.recipients.values())[:1]
            raise _told(code, said) from error
        except smtplib.SMTPResponseException as error:
            raise _told(error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            where = f"{self._settings.host}:{self._settings.port}"
            raise RetryLater(f"mail server {where}: {type(error).__name__}") from error

    def _connect(self) -> smtplib.SMTP:
        at = self._settings
        if at.security == "tls":
            return smtplib.SMTP_SSL(at.host, at.port, timeout=at.timeout_s, context=self._tls())
        server = smtplib.SMTP(at.host, at.port, timeout=at.timeout_s)
        if at.security == "starttls":
            try:
                server.starttls(context=self._tls())
            except BaseException:
                server.close()
                raise
        return server

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.ca_file:
            context.load_verify_locations(Path(self._settings.ca_file))
        return context


def _told(code: int, said: bytes | str) -> RefuseInput | RetryLater:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    detail = f"{code} {text}"[:200]
    return RefuseInput("bad_address", detail) if code >= PERMANENT else RetryLater(detail)
