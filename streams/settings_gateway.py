"""`[gateway]` and `[[sources]]` in, who may send what to which door out. `open_sources` reads their secrets.

Each source is a door of its own, POST /hooks/<name>. What only one vendor knows is in its `options`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from metrics.money import exponent_of
from streams.events import ActivityKind, DealStatus
from streams.gateway.fetchers import FETCHERS
from streams.gateway.vendors import VENDORS
from streams.topics import SOURCES, TOLD

SECRETS_MAX = 2
"""The old and the new one, while a secret is being changed."""
KINDS = ", ".join(sorted(VENDORS))

_ActivityKind = ActivityKind | Literal[""]

# A token is sent there: in the clear only to this very machine.
_API_ADDRESS = re.compile(r"https://[^/?#\s@]+(/[^?#\s]*)?|http://(127\.0\.0\.1|localhost)(:\d+)?/?")
_REGISTRY_ADDRESS = re.compile(r"https?://[^/?#\s@]+(/[^?#\s]*)?")


class GatewaySettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(
        default=8401,
        ge=0,
        le=65535,
        description="port of POST /events and POST /hooks/<source>; 0 picks a free port",
    )
    token: SecretStr | None = Field(
        default=None, description="bearer token that senders to /events, and who looks at /tail, must show"
    )
    token_file: Path | None = Field(default=None, description="a file whose only content is token")
    requests_per_second: float = Field(
        default=500,
        ge=0,
        le=1_000_000,
        description="of one address, and of one source; ten times that at once; beyond: 429; 0: no limit",
    )


class SourceSettings(BaseModel):
    """One sender with a door of its own, POST /hooks/<name>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$",
        description="last part of the door's address, and a label: small letters, digits, - and _",
    )
    kind: str = Field(description=f"what sends: {KINDS}")
    account: str = Field(
        default="", description="the vendor's id of the account (HubSpot: portal); others are skipped"
    )
    public_url: str = Field(
        default="", description="the address as pasted at the vendor, which some of them sign"
    )
    secret_env: tuple[str, ...] = Field(
        default=(), description="environment variables that hold a secret; two while it is being changed"
    )
    secret_files: tuple[Path, ...] = Field(
        default=(), description="or files whose only content is a secret, named from the settings file"
    )
    topics: tuple[str, ...] = Field(
        default=(),
        description="Kafka topics to read it from, for some kinds; without a secret the door stays shut",
    )
    schema_registry: str = Field(
        default="", description="address of the schema registry, where a connector writes the topics as Avro"
    )
    schema_registry_login_env: str = Field(
        default="", description="environment variable with user:password for it"
    )
    avro_schemas: dict[str, Path] = Field(
        default_factory=dict,
        description="topic -> .avsc file of records written as Avro without a registry",
    )
    signatures: tuple[str, ...] = Field(
        default=(), description="versions of the vendor's signature to accept; its newest unless said"
    )
    zone: str = Field(
        default="", description="IANA zone of times and days that name none; the floor's unless said"
    )
    currency: str | None = Field(
        default=None, description="of amounts in whole records that name none, as an ISO 4217 code"
    )
    stage_status: dict[str, DealStatus] = Field(
        default_factory=dict, description="stage id -> open, won or lost, on top of the vendor's own stages"
    )
    stage_names: dict[str, str] = Field(
        default_factory=dict, description="stage id -> name to show; others keep the id"
    )
    pipeline_names: dict[str, str] = Field(default_factory=dict, description="the same for pipelines")
    reps: dict[str, str] = Field(
        default_factory=dict, description="the vendor's owner id -> rep id; others keep the id"
    )
    activity_kinds: dict[str, _ActivityKind] = Field(
        default_factory=dict,
        description="the vendor's activity type -> call, meeting, demo, …; empty leaves it out",
    )
    lead_steps: dict[str, Literal["qualified", "converted", "disqualified"]] = Field(
        default_factory=dict, description="the vendor's lead status -> qualified, converted or disqualified"
    )
    options: dict[str, str] = Field(
        default_factory=dict, description="what only this kind knows, see its page in docs/crm"
    )
    map: str = Field(
        default="", description="column map for JSON bodies: a file named from the settings file, or shipped"
    )

    api_token_env: str = Field(
        default="",
        description="environment variable with a token of the vendor's API: fetches records known by id",
    )
    api_token_file: Path | None = Field(
        default=None, description="or a file whose only content is the token, read anew when it is needed"
    )
    api_base_url: str = Field(
        default="", description="address of the vendor's API; the vendor's own unless said"
    )

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in VENDORS:
            raise ValueError(f"is no kind of source; there is {KINDS}")
        return kind

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone and zone not in available_timezones():
            raise ValueError("is not an IANA zone; use a name such as 'Europe/Berlin'")
        return zone

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, currency: str | None) -> str | None:
        if currency is not None and exponent_of(currency) is None:
            raise ValueError("is not an ISO 4217 code; use three capital letters such as 'EUR'")
        return currency

    @field_validator("topics")
    @classmethod
    def _foreign_topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic) or topic in (".", ".."):
                raise ValueError(f"names {topic!r}, which cannot be a Kafka topic")
            if topic in (*SOURCES, *TOLD):
                raise ValueError(f"names {topic!r}, which is salesfloor's own; name the connector's topic")
        return topics

    @field_validator("public_url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and (not url.startswith(("https://", "http://")) or "?" in url or "#" in url):
            raise ValueError(
                "is not an address; write it as pasted at the vendor, such as "
                "'https://hooks.example.com/hooks/hubspot', without a query"
            )
        return url

    @field_validator("schema_registry")
    @classmethod
    def _registry_address(cls, url: str) -> str:
        if url and not _REGISTRY_ADDRESS.fullmatch(url):
            raise ValueError(
                "is not an address of a schema registry; write it as 'http://registry.example.com:8081', "
                "and its user and password into the variable that schema_registry_login_env names"
            )
        return url

    @field_validator("api_base_url")
    @classmethod
    def _safe_address(cls, url: str) -> str:
        if url and not _API_ADDRESS.fullmatch(url):
            raise ValueError("is not an address of an API; write it as 'https://api.example.com'")
        return url

    @model_validator(mode="after")
    def _avro_is_of_its_topics(self) -> Self:
        if self.schema_registry_login_env and not self.schema_registry:
            raise ValueError("names schema_registry_login_env and no schema_registry; set it, or neither")
        if self.schema_registry_login_env and not _API_ADDRESS.fullmatch(self.schema_registry):
            raise ValueError("would send a password in the clear; write schema_registry with https://")
        if self.schema_registry and not self.topics:
            raise ValueError("names schema_registry and no topics; what comes over HTTP is never Avro")
        if strange := [topic for topic in self.avro_schemas if topic not in self.topics]:
            raise ValueError(f"has an Avro schema of {strange[0]!r}, which is not one of its topics")
        return self

    @model_validator(mode="after")
    def _api_can_be_asked(self) -> Self:
        if not self.api_token_env and self.api_token_file is None:
            if self.api_base_url:
                raise ValueError("names api_base_url and no token; set api_token_env or api_token_file")
            return self
        if self.api_token_env and self.api_token_file is not None:
            raise ValueError("names api_token_env and api_token_file; keep one")
        fetcher = FETCHERS.get(self.kind)
        if fetcher is None:
            can = ", ".join(sorted(FETCHERS))
            raise ValueError(f"has an API token, but {self.kind} is not fetched from; kinds that are: {can}")
        if not (fetcher.base_url or self.api_base_url):
            raise ValueError(f"is {self.kind}, where each customer has an address; set api_base_url to yours")
        return self

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        vendor = VENDORS[self.kind]
        secrets = len(self.secret_env) + len(self.secret_files)
        if secrets > SECRETS_MAX:
            raise ValueError(f"names {secrets} secrets; at most {SECRETS_MAX}, the old and the new one")
        if self.topics and not vendor.topics:
            can = ", ".join(kind for kind, one in sorted(VENDORS.items()) if one.topics)
            raise ValueError(f"is {self.kind}, which is not read from topics; kinds that can be: {can}")
        if secrets < vendor.secrets_min and not self.topics:
            raise ValueError(
                f'is {self.kind} and names no secret; set secret_env = ["A_VARIABLE"] or secret_files'
            )
        if unknown := [version for version in self.signatures if version not in vendor.signatures]:
            there_is = ", ".join(vendor.signatures) or "none to choose from"
            raise ValueError(f"accepts the signature {unknown[0]!r}; {self.kind} has {there_is}")
        if vendor.needs_public_url and not self.public_url:
            raise ValueError(f"is {self.kind}, which signs the address it calls; set public_url to it")
        if vendor.needs_map and not self.map:
            raise ValueError(f"is {self.kind} and has no map; name the column map of its bodies")
        if strange := [name for name in self.options if name not in vendor.options]:
            there_is = ", ".join(vendor.options) or "none"
            raise ValueError(f"has the option {strange[0]!r}; {self.kind} knows {there_is}")
        return self


def check_names(sources: Sequence[SourceSettings]) -> None:
    """Raise ValueError naming the first name that two sources share."""
    seen: dict[str, int] = {}
    if any(source.name == "events" for source in sources):
        raise ValueError("has the name 'events', which POST /events is counted under; rename it")
    for number, source in enumerate(sources, 1):
        if source.name in seen:
            raise ValueError(
                f"number {number} has the name of number {seen[source.name]}, {source.name!r}; rename one"
            )
        seen[source.name] = number


def anchor_files(tree: dict[str, Any], base: Path) -> None:
    """Make the file names of sources start where the settings file lies. Leaves what is not well-formed to
    the validation that follows."""
    sources = tree.get("sources")
    for source in sources if isinstance(sources, list) else ():
        if not isinstance(source, dict):
            continue
        files = source.get("secret_files")
        if isinstance(files, list):
            source["secret_files"] = [
                str(base / Path(name).expanduser()) if isinstance(name, str) else name for name in files
            ]
        token_file = source.get("api_token_file")
        if isinstance(token_file, str):
            source["api_token_file"] = str(base / Path(token_file).expanduser())
        schemas = source.get("avro_schemas")
        if isinstance(schemas, dict):
            source["avro_schemas"] = {
                topic: str(base / Path(name).expanduser()) if isinstance(name, str) else name
                for topic, name in schemas.items()
            }
        mapping = source.get("map")
        if isinstance(mapping, str) and mapping.endswith(".toml"):
            source["map"] = str(base / Path(mapping).expanduser())
