"""URLs of the settings as they may be shown."""

import re


def masked(url: str) -> str:
    """Return a URL without its user and password, rather too little of it."""
    return re.sub(r"//.*@", "//***@", url)
