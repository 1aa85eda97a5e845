"""`[[access]]` tables in, checked grants for the metrics role's doors out. Shows no token in an error."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from metrics.web.access import Grant, Scope, grant_of

TOKEN_LENGTH_MIN = 16
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ANOTHER = "`openssl rand -hex 24` prints a good one"


class AccessSettings(BaseModel):
    """One token and what it opens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64, description="whose it is, for people")
    token: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="only in the variable, as JSON; 16 characters or more",
    )
    token_file: Path | None = Field(
        default=None, description="a file whose only content is token; looked at again every second"
    )
    may: Literal["all", "wall", "metrics", "rep"] = Field(
        description="what it opens: everything; wall and status page; /metrics; as wall, and one commission"
    )
    rep: str | None = Field(
        default=None, min_length=1, max_length=256, description="whose commission, with may = 'rep'"
    )

    @field_validator("token")
    @classmethod
    def _not_guessed(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None:
            raise ValueError(f"is missing; name a file that holds it with token_file ({_ANOTHER})")
        text = token.get_secret_value()
        if len(text) < TOKEN_LENGTH_MIN:
            raise ValueError(f"is shorter than {TOKEN_LENGTH_MIN} characters; {_ANOTHER}")
        if not _BEARER.fullmatch(text):
            raise ValueError(f"has characters that an Authorization header cannot hold; {_ANOTHER}")
        return token

    @model_validator(mode="after")
    def _rep_where_it_means_something(self) -> Self:
        if self.may == "rep" and self.rep is None:
            raise ValueError("may = 'rep' does not say whose commission it shows; add rep = 'R-9'")
        if self.may != "rep" and self.rep is not None:
            raise ValueError(f"rep says nothing with may = {self.may!r}; leave it out or say may = 'rep'")
        return self

    def as_grant(self) -> Grant:
        assert self.token is not None, "checked when it was read"
        return grant_of(self.name, self.token.get_secret_value(), Scope(self.may), self.rep or "")


def token_is_fit(token: str) -> bool:
    """Say whether a token could be one: long enough, and of characters a header can hold."""
    return len(token) >= TOKEN_LENGTH_MIN and _BEARER.fullmatch(token) is not None


def anchor_token_files(tree: dict[str, Any], base: Path) -> None:
    """Make the names of token files start where the settings file lies; they are read again later."""
    entries = tree.get("access")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(file := entry.get("token_file"), str):
            entry["token_file"] = str((base / Path(file).expanduser()).absolute())


def check_access(entries: Sequence[AccessSettings]) -> None:
    """Refuse two entries of one name or one token: nobody could tell which of them holds."""
    for name, count in Counter(entry.name for entry in entries).items():
        if count > 1:
            raise ValueError(f"{name!r} is there twice; rename one")
    by_digest: dict[bytes, str] = {}
    for grant in (entry.as_grant() for entry in entries):
        other = by_digest.setdefault(grant.digest, grant.name)
        if other != grant.name:
            raise ValueError(f"{other!r} and {grant.name!r} have the same token; {_ANOTHER}")
