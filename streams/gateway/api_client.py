"""One call of a vendor's API in, its reply or one named failure out. Knows HTTP; never retries or waits.

The token goes to the API's own address only, and neither it nor a body is in a message.
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import aiohttp
import msgspec

from streams.clock import Clock
from streams.gateway.apis import Api
from streams.gateway.fetchers.model import Call, Fetcher, Reply
from streams.gateway.model import Malformed
from streams.gateway.reading import parse_json
from streams.rfc3339 import to_ms
from streams.settings import SettingsError

_BYTES_MAX: Final = 32 << 20
_RETRY_AFTER_MAX: Final = 3600.0


class Trouble(StrEnum):
    """Why records could not be fetched. A closed set: it is a metric label."""

    RATE = "rate_limited"  # 429
    SERVER = "server"  # 5xx
    NETWORK = "network"  # no connection, or it broke
    TIMEOUT = "timeout"
    TOKEN = "token_refused"  # 401, or the token's file cannot be read  # noqa: S105 - a label
    REFUSED = "refused"  # another 4xx or a redirect: a scope is missing, or the address is wrong
    UNREADABLE = "unreadable"  # the answer is not what the vendor documents
    MISSING = "missing"  # there is no such record, or none that the token may see
    KAFKA = "kafka_away"
    FULL = "queue_full"
    RECONCILE = "reconcile"  # not one record but all of a kind: only an import can do that
    DELETED = "deleted"  # gone from the API, and only its last values would say where it belonged
    UNEXPECTED = "unexpected"  # our own fault


PASSING: Final = frozenset(
    {Trouble.RATE, Trouble.SERVER, Trouble.NETWORK, Trouble.TIMEOUT, Trouble.TOKEN, Trouble.KAFKA}
)
"""May be over later; what is not in it will be the same however often it is tried."""
OF_ALL: Final = PASSING - {Trouble.SERVER}
"""Would meet every other record too, so all of them wait."""


class FetchFailed(Exception):
    """The message says what to do, without a word of the answer."""

    def __init__(self, trouble: Trouble, detail: str, retry_after: float = 0.0, status: int = 0) -> None:
        super().__init__(detail)
        self.trouble, self.retry_after, self.status = trouble, retry_after, status


class ApiClient:
    """Calls one source's API."""

    def __init__(self, http: aiohttp.ClientSession, fetcher: Fetcher, api: Api, clock: Clock) -> None:
        self._http, self._fetcher, self._api, self._clock = http, fetcher, api, clock

    async def call(self, call: Call, limit_seconds: float) -> Reply:
        """Raise `FetchFailed` for everything but 2xx and what the call itself allows."""
        body = None if call.body is None else msgspec.json.encode(call.body)
        try:
            async with self._http.request(
                call.method,
                f"{self._api.base_url}{call.path}",
                data=body,
                headers=self._headers(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit_seconds),
            ) as response:
                if not (200 <= response.status < 300 or response.status in call.also):
                    used_up = await self._used_up(response)
                    raise self._failure(call, 429 if used_up else response.status, response.headers)
                return Reply(response.status, _parsed(await _read(response)))
        except TimeoutError:
            raise FetchFailed(Trouble.TIMEOUT, f"no answer within {limit_seconds:.0f} s") from None
        except aiohttp.ClientError as error:
            raise FetchFailed(Trouble.NETWORK, f"{type(error).__name__} at {self._api.base_url}") from None

    def _headers(self) -> Mapping[str, str]:
        try:
            token = self._api.token()
        except SettingsError as error:
            raise FetchFailed(Trouble.TOKEN, str(error)) from None
        return {
            "Authorization": f"{self._fetcher.scheme} {token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    async def _used_up(self, response: aiohttp.ClientResponse) -> bool:
        """Some vendors say "too many" as a refusal, with a word for it in the body."""
        word = self._fetcher.exhausted
        return bool(word) and response.status == 403 and word in await _read(response)

    def _failure(self, call: Call, status: int, headers: Mapping[str, str]) -> FetchFailed:
        what = f"{call.method} {call.path.partition('?')[0]} was answered {status}"
        retry_after = retry_after_seconds(headers.get("Retry-After", ""), self._clock.now_ms())
        if status == 429:
            return FetchFailed(Trouble.RATE, f"{what}: too many requests", retry_after, status)
        if status >= 500:
            return FetchFailed(Trouble.SERVER, what, retry_after, status)
        if status == 401:
            detail = f"{what}: the API token is wrong or has expired; set a valid one"
            return FetchFailed(Trouble.TOKEN, detail, retry_after, status)
        hint = {403: ": the token lacks a scope", 404: ": is api_base_url right?"}.get(status, "")
        return FetchFailed(Trouble.REFUSED, f"{what}{hint}", status=status)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > _BYTES_MAX:
            raise FetchFailed(Trouble.UNREADABLE, f"the answer is larger than {_BYTES_MAX} bytes")
    return bytes(body)


def _parsed(body: bytes) -> object:
    if not body.strip():
        return None
    try:
        return parse_json(body.decode())
    except (Malformed, UnicodeDecodeError):
        raise FetchFailed(Trouble.UNREADABLE, "the answer is not JSON") from None


def retry_after_seconds(said: str, now_ms: int) -> float:
    """Read a Retry-After header, seconds or a date; 0 when it says nothing, an hour at most."""
    if said.isascii() and said.isdigit() and len(said) <= 9:
        return min(float(said), _RETRY_AFTER_MAX)
    try:
        moment = parsedate_to_datetime(said)
    except (TypeError, ValueError):
        return 0.0
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max(0.0, (to_ms(aware) - now_ms) / 1000), _RETRY_AFTER_MAX)
