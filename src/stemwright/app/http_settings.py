"""The group `http` of the settings."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from stemwright.setting_values import Group, Networks, Origins, Peers, Whole
from stemwright.web.roots import parse_root

RootPath: TypeAlias = Annotated[str | None, BeforeValidator(lambda value: None if value is None else parse_root(value))]


class Http(Group):
    """Who may ask, and how often."""

    cors_origins: Origins = Field(
        default=(),
        description="Origins of web pages elsewhere that may use the API, such as `https://app.example.org`.",
    )
    hosts: Peers = Field(
        default=(),
        description="Names under which the server is called, beside `localhost`, `host` and, where others reach it, "
        "any IP address; other names are answered with 421.",
    )
    open: bool = Field(
        default=False,
        description="`true`: other machines may use the server though nobody has to sign in; needed for a `host` that "
        "they reach.",
    )
    root_path: RootPath = Field(
        default=None,
        description="The sub-path that a proxy serves the studio below, such as `/stemwright` ([proxy.md](proxy.md)).",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Proxies, as addresses or networks, whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are "
        "believed.",
    )
    rate_per_minute: Whole = Field(
        default=600, ge=0, le=10_000_000, description="Requests a minute of one owner or address; 0: no limit."
    )
    uploads_per_minute: Whole = Field(
        default=60, ge=0, le=10_000_000, description="Uploads a minute of one owner or address; 0: no limit."
    )
