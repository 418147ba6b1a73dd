"""A small mail server on loopback: it takes mail, or says what it is told to say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """What came, and what is answered to the next recipients."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    """To `RCPT`, one after the other; then `250`."""
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak as much of RFC 5321 as a client needs."""
        writer.write(b"220 mail.test ESMTP\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb = line[:4].upper()
            if verb == "EHLO":
                writer.write(b"250-mail.test\r\n250 8BITMIME\r\n")
            elif verb == "RCPT":
                told = self.answers.pop(0) if self.answers else "250 ok"
                if told.startswith("250"):
                    self.recipients.append(line.partition("<")[2].partition(">")[0])
                writer.write(f"{told}\r\n".encode())
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                await writer.drain()
                self.taken.append(await _read(reader))
                writer.write(b"250 taken\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
            await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> EmailMessage:
    lines = []
    while (line := await reader.readline()) != b".\r\n":
        lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
    return message_from_bytes(b"".join(lines), policy=policy.default)


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Serve on a free port."""
    held = MailServer()
    server = await asyncio.start_server(held.serve, "127.0.0.1", 0)
    held.port = server.sockets[0].getsockname()[1]
    async with server:
        yield held
