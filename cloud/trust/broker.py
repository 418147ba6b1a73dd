"""Runs mosquitto and keeps of its log what matters, in a file of bounded size.

At level debug mosquitto writes four lines for each message that passes, and one for each that it
refuses. All go through a pipe to this process, which reads it in large pieces; only the lines that
somebody should see reach the disk.
"""

import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from cloud.trust.broker_files import LOG_FILE, RUN
from protocols.errors import StopService

PIPE_BYTES = 1024 * 1024
"""A second and more of a busy broker's log: it never waits for us."""
REST_S = 0.02
"""Between two readings, for each line by itself would cost five times as much."""
LOG_BYTES_MAX = 4 * 1024 * 1024
"""Of each of two files."""
LINE_BYTES_MAX = 64 * 1024
PASSING = re.compile(rb"^[^ \n]* (?:(?:Sending|Received) |No will message|\t).*\n", re.MULTILINE)
"""What is said of messages that pass; the first word of a line is its time."""


def run_broker(config: Path, *, program: str = "mosquitto") -> int:
    """Run mosquitto until it ends or SIGTERM comes; SIGHUP is passed on. Returns its exit code.

    Raises:
        StopService: the program is not installed.

    """
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise StopService(f"{program} is not installed (Debian: apt-get install mosquitto)")
    process = subprocess.Popen(
        [path, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: process.send_signal(got))
    assert process.stderr is not None  # noqa: S101  # as asked for above
    keep_log(process.stderr, config.parent / RUN / LOG_FILE)
    return process.wait()


def keep_log(pipe: IO[bytes], file: Path) -> None:
    """Read the log to its end and keep what matters."""
    handler = RotatingFileHandler(file, maxBytes=LOG_BYTES_MAX, backupCount=1)
    kept = logging.getLogger("suyuan.broker")
    kept.propagate = False  # nothing but this file
    kept.setLevel(logging.INFO)
    kept.addHandler(handler)
    with suppress(OSError):  # an unprivileged user's share may be used up
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    rest = b""
    while piece := os.read(pipe.fileno(), PIPE_BYTES):
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        for line in what_matters(whole + newline):
            kept.info("%s", line)
        if len(rest) > LINE_BYTES_MAX:
            rest = b""
        if len(piece) < PIPE_BYTES // 8:
            time.sleep(REST_S)
    handler.close()


def what_matters(log: bytes) -> list[str]:
    """Return the lines of whole lines of log that are not about messages that pass."""
    return PASSING.sub(b"", log).decode(errors="replace").splitlines()
