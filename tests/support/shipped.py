"""What is shipped, read once."""

from functools import cache

from protocols.catalog.divisions import load_divisions
from protocols.catalog.schemes import load_schemes
from protocols.codes.registry import SchemeRegistry


@cache
def shipped_schemes() -> SchemeRegistry:
    """Return the schemes of codes that are shipped."""
    return SchemeRegistry(load_schemes(None)[0], load_divisions())
