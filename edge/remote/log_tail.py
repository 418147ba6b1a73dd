"""The newest lines of the daemon's log, kept in memory for whoever asks from afar."""

import logging
from collections import deque

from protocols.logs import FORMAT

LINES_KEPT = 500
LINE_CHARS_MAX = 500


class LogTail(logging.Handler):
    """Keeps the last LINES_KEPT lines."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(FORMAT))
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._lines.append(self.format(record)[:LINE_CHARS_MAX])

    def tail(self, lines: int) -> list[str]:
        """Return the newest lines, oldest first."""
        return list(self._lines)[-lines:]
