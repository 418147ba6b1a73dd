"""The names that the standard's REST binding gives to errors (EPCIS 2.0, section 12)."""

BASE = "/epcis"
PREFIX = "epcisException:"
_OF_REASON = {
    "quota_reached": None,
    "bad_token": "QueryParameterException",
    "bad_subscription": "SubscriptionControlsException",
    "bad_address": "SubscriptionControlsException",
    "QueryParameterException": "QueryParameterException",
    "QueryTooComplexException": "QueryTooComplexException",
    "QueryTooLargeException": "QueryTooLargeException",
}
_OF_STATUS = {
    400: "ValidationException",
    401: "SecurityException",
    403: "SecurityException",
    404: "NoSuchNameException",
    406: "NotAcceptableException",
    409: "ResourceAlreadyExistsException",
    413: "CaptureLimitExceededException",
    414: "URITooLongException",
    415: "UnsupportedMediaTypeException",
    500: "ImplementationException",
}


def is_epcis(path: str) -> bool:
    """Tell whether a path belongs to the binding."""
    return path == BASE or path.startswith(f"{BASE}/")


def type_of(reason: str, status: int) -> str | None:
    """Return the type of a problem, None for one that the standard has no name for."""
    name = _OF_REASON[reason] if reason in _OF_REASON else _OF_STATUS.get(status)
    return PREFIX + name if name else None
