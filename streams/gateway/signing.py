"""Secrets and what a sender showed in, yes or no out. Constant time, pure; knows no vendor."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable

from streams.gateway.model import Refusal, RefusalReason

WINDOW_MS = 300_000
"""How old, and how far ahead, a signed time may be."""


def hmac_sha256(key: str | bytes, *parts: str | bytes) -> bytes:
    return hmac.digest(_bytes(key), b"".join(_bytes(part) for part in parts), "sha256")


def hmac_sha1(key: str | bytes, *parts: str | bytes) -> bytes:
    """For vendors that sign so; as a keyed hash it is still sound."""
    return hmac.digest(_bytes(key), b"".join(_bytes(part) for part in parts), "sha1")


def sha256_hex(*parts: str | bytes) -> str:
    return hashlib.sha256(b"".join(_bytes(part) for part in parts)).hexdigest()


def base64_text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def same(shown: str, expected: Iterable[str | bytes]) -> bool:
    """Say whether what was shown is one of the expected; takes as long for a near miss as for a far one."""
    found = False
    for one in expected:
        found |= bool(one) and hmac.compare_digest(_bytes(shown), _bytes(one))
    return found


def signed_by(shown: str, secrets: Iterable[str], sign: Callable[[str], str]) -> Refusal | None:
    """Return None when any secret gives the shown signature, else the refusal."""
    if not shown:
        return Refusal(RefusalReason.MISSING, "the request carries no signature")
    if same(shown, [sign(secret) for secret in secrets]):
        return None
    return Refusal(
        RefusalReason.WRONG,
        "the signature does not fit; check the secret, and that public_url is the address the sender calls",
    )


def fresh(stamp_ms: int | None, now_ms: int, *, window_ms: int = WINDOW_MS) -> Refusal | None:
    """Return None for a time within the window, else the refusal. A time that cannot be read is None."""
    if stamp_ms is None:
        return Refusal(RefusalReason.STALE, "the request names no time that can be read")
    if abs(now_ms - stamp_ms) > window_ms:
        return Refusal(RefusalReason.STALE, f"the signature is more than {window_ms // 1000} s from now")
    return None


def whole_number(text: str) -> int | None:
    """Return a plain decimal number of reasonable length, None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def bearer(authorization: str) -> str:
    """Return the token of an Authorization header, "" if it is no bearer token."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def basic(authorization: str) -> str:
    """Return "user:password" of an Authorization header, "" if it is not HTTP basic."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # no base64, not even ASCII, or no UTF-8 inside
        return ""


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
