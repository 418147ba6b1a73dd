"""Why a TLS connection did not come about, in words that say what to do.

With TLS 1.3 a broker looks at our certificate when for us the handshake is long over: the refusal
arrives as an alert in the first read, and MQTT libraries tell of it as "unspecified error".
"""

import re

_SSL_WORD = re.compile(r"\[SSL: ([A-Z0-9_]+)\]([^(]*)")
ENROL_AGAIN = "ask for a new code (suyuan-cloud gateway invite) and run suyuan-edge enroll"
_ADVICE = {
    "CERTIFICATE_EXPIRED": (
        "the broker says that this gateway's certificate is out of date: it is renewed by itself "
        f"as soon as the service answers; if that is refused, {ENROL_AGAIN}"
    ),
    "CERTIFICATE_REVOKED": (
        "the broker says that this gateway's certificate was revoked: if that was a mistake or the "
        f"gateway was replaced, {ENROL_AGAIN}"
    ),
    "UNKNOWN_CA": (
        "the broker does not know the authority of this gateway's certificate: it is of another "
        f"site, or the authority was made anew; {ENROL_AGAIN}"
    ),
    "CERTIFICATE_REQUIRED": (
        f"the broker wants a certificate and this gateway has none: {ENROL_AGAIN}"
    ),
    "BAD_CERTIFICATE": (
        "the broker takes this gateway's certificate for bad, perhaps as not yet valid: compare "
        f"the clocks of broker and service; if they agree, {ENROL_AGAIN}"
    ),
}
_VERIFY = {
    "mismatch": "the broker's certificate is for another name: repeat suyuan-cloud ca init with "
    "--name for every name and address that it is reached by",
    "expired": "the broker's certificate is out of date: repeat suyuan-cloud ca init there",
    "not yet valid": "the broker's certificate is not valid yet: compare the clocks",
}
_VERIFY_ELSE = (
    "the broker's certificate is not of the authority that this gateway knows: it is another "
    "broker, or the authority was made anew; then enrol again"
)
EXPIRED = "CERTIFICATE_EXPIRED"


def word_of(text: str) -> str:
    """Return OpenSSL's word in a message, such as CERTIFICATE_EXPIRED; empty when there is none."""
    match = _SSL_WORD.search(text)
    if not match:
        return ""
    found = next((word for word in _ADVICE if match[1].endswith(word)), "")
    return found or match[1]


def explain(text: str) -> str:
    """Return what to do about a message of OpenSSL, or the message itself."""
    word = word_of(text)
    if word in _ADVICE:
        return _ADVICE[word]
    if word == "CERTIFICATE_VERIFY_FAILED":
        lower = text.lower()
        return next((said for mark, said in _VERIFY.items() if mark in lower), _VERIFY_ELSE)
    return text
