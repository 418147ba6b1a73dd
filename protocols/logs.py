"""Logs of the daemons: lines for people, or one JSON object a line for machines."""

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

JSON = "json"
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class JsonLines(logging.Formatter):
    """Writes `at` (ISO 8601, UTC), `level`, `logger`, `message` and, where one is, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as a line without line breaks inside."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_to_stderr(environ: Mapping[str, str] = os.environ) -> None:
    """Send all logs of level info and above to stderr; `$SUYUAN_LOG=json` makes JSON of them."""
    handler = logging.StreamHandler()
    as_json = environ.get("SUYUAN_LOG", "").lower() == JSON
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
