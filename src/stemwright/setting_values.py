"""The toolkit for settings: groups of them, and what one may hold: sizes, times, folders, networks, hosts, secrets."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

_SIZES: Final = {"b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgtp", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_SECONDS: Final = {
    unit: Decimal(seconds)
    for unit, seconds in {
        "ms": "0.001",
        "s": "1",
        "m": "60",
        "min": "60",
        "h": "3600",
        "d": "86400",
        "w": "604800",
    }.items()
}
_PLURAL: Final = {"s": "seconds", "h": "hours", "d": "days"}
_QUANTITY = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*")
_HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_DEVICE = re.compile(r"(?:auto|cpu|mps|cuda(?::[0-9]{1,3})?)(?:/half)?")
_LONGEST = 366 * 86_400  # seconds
_SECRET_BYTES = range(24, 65)  # of Standard Webhooks

Network: TypeAlias = IPv4Network | IPv6Network


def parse_size(value: object) -> int:
    """Bytes of a number, or of a text such as `100MB` or `6 GiB`, rounded down. Raises `ValueError`."""
    said = "give bytes, or a text such as 100MB (10⁶) or 6 GiB (2³⁰)"
    if isinstance(value, str):
        number, unit = _quantity(value, said=said)
        if unit not in {"", *_SIZES}:
            raise ValueError(f"unknown unit {unit!r}; {said}")
        size = number * _SIZES[unit or "b"]
    else:
        size, unit = _number(value, said=said), ""
    if unit in {"", "b"} and size != int(size):
        raise ValueError(f"that is no whole number of bytes; {said}")
    return int(size)


def show_size(size: int) -> str:
    """Bytes as the shortest text that `parse_size` reads back exactly."""
    names = {"b": "B"} | {unit: unit[0].upper() + unit[1:].replace("b", "B") for unit in _SIZES if unit != "b"}
    texts = [f"{size // factor} {names[unit]}" for unit, factor in _SIZES.items() if size % factor == 0]
    return "0" if size == 0 else min(texts, key=len)


def parse_duration(value: object, *, unit: str = "s") -> float:
    """A length of time in `unit` (s, h or d), of a number of them or of a text such as `30m` or `7d`.

    Raises `ValueError`.
    """
    said = f"give a number of {_PLURAL[unit]}, or a text such as 90s, 30m, 12h or 7d"
    if not isinstance(value, str):
        return float(_number(value, said=said))
    number, given = _quantity(value, said=said)
    if given not in {"", *_SECONDS}:
        raise ValueError(f"unknown unit {given!r}; {said}")
    return float(number * _SECONDS[given or unit] / _SECONDS[unit])


def _quantity(text: str, *, said: str) -> tuple[Decimal, str]:
    """The number and the unit, in lower case, of a text."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(said)
    return Decimal(match[1]), match[2].lower()


def _number(value: object, *, said: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(said)
    if not -1e30 < value < 1e30:  # also: not a number
        raise ValueError(said)
    return Decimal(value)


def _no_truth(value: object) -> object:
    """YAML's `yes` is no number."""
    if isinstance(value, bool):
        raise ValueError("give a number")
    return value


def split_list(value: object) -> object:
    """A list of a text with commas; lists stay. Raises `ValueError` when it is neither."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("give a list, or a text with commas")
    return value


def parse_network(value: object) -> Network:
    """An IP address or a network in CIDR notation. Raises `ValueError`."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ipaddress.ip_network(_text(value))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(_text(value), strict=False)
    except ValueError:
        raise ValueError("give an IP address, or a network such as 10.0.0.0/8") from None
    raise ValueError(f"a network ends in zeros; did you mean {meant}?")


def parse_host(value: object) -> str:
    """A host name or an IP address, in lower case. Raises `ValueError`."""
    text = _text(value).lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST.fullmatch(text) and not text.rpartition(".")[2].isdecimal():
            return text
    raise ValueError("give a host name such as studio.example.org, or an IP address")


def parse_peer(value: object) -> str:
    """A host name, an IP address or a network, as text. Raises `ValueError`."""
    text = _text(value)
    return str(parse_network(text)) if "/" in text else parse_host(text)


def parse_origin(value: object) -> str:
    """The origin of a web page as browsers send it, such as `https://studio.example.org`. Raises `ValueError`."""
    said = "give an origin such as https://studio.example.org, without a path"
    text = _text(value)
    if text == "*":
        raise ValueError("`*` would let every site use a visitor's session; list the origins")
    parts = urlsplit(text.lower())
    if parts.scheme not in {"http", "https"} or parts.path not in {"", "/"} or parts.hostname is None:
        raise ValueError(said)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(said)
    host = parse_host(parts.hostname)
    port = "" if parts.port in {None, {"http": 80, "https": 443}[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def parse_address(value: object) -> str | None:
    """The address by which others reach us, such as `https://drums.example.org`. Raises `ValueError`."""
    if value is None:
        return None
    text = _text(value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or parts.hostname is None or parts.query or parts.fragment:
        raise ValueError("give an address such as https://drums.example.org")
    return text


def parse_database_url(value: str) -> str:
    """The URL of a PostgreSQL as hosts give it (`postgres://…`), with the driver that we use. Raises `ValueError`."""
    scheme, _, rest = value.strip().partition("://")
    if scheme not in {"postgres", "postgresql", "postgresql+psycopg"} or not rest:
        raise ValueError("give postgresql://user:password@host/name")
    return f"postgresql+psycopg://{rest}"


def parse_objects(value: object) -> str | None:
    """A place for objects: `s3://bucket/prefix` or `file:///folder`. Raises `ValueError`."""
    if value is None:
        return None
    text = _text(value).rstrip("/")
    parts = urlsplit(text)
    if (parts.scheme, bool(parts.netloc)) not in {("s3", True), ("file", False)} or "?" in text or "#" in text:
        raise ValueError("give s3://bucket/prefix or file:///folder")
    if parts.scheme == "file" and not parts.path.startswith("/"):
        raise ValueError("give the whole path of the folder: file:///folder")
    return text


def parse_mirror(value: object) -> str | None:
    """The base of a mirror, such as `https://mirror.example.org/weights`. Raises `ValueError`."""
    if value is None:
        return None
    text = _text(value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or parts.hostname is None or parts.query or parts.fragment:
        raise ValueError("give an address such as https://mirror.example.org/weights")
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise ValueError("a mirror on another machine must be https")
    return text


def parse_folder(value: object) -> Path | None:
    """An absolute path; `~` is the home folder. Raises `ValueError`."""
    if value is None:
        return None
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise ValueError("give the path of a folder")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # no such user, or no home
        raise ValueError("there is no such home folder") from error


def parse_listed_folder(value: object) -> Path:
    """A folder of a list, which says where it is all by itself. Raises `ValueError`."""
    if not isinstance(value, Path) and not _text(value).startswith(("/", "~")) and not Path(_text(value)).is_absolute():
        raise ValueError("give absolute paths, such as /music")
    folder = parse_folder(value)
    if folder is None:
        raise ValueError("give the path of a folder")
    return folder


def parse_socket(value: object) -> str | None:
    """The address of a WebSocket, such as `ws://localhost:8080`. Raises `ValueError`."""
    if value is None:
        return None
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError("give an address such as ws://localhost:8080")
    return text


def _device(value: object) -> str:
    text = _text(value).lower()
    if not _DEVICE.fullmatch(text):
        raise ValueError("use auto, cpu, cuda, cuda:N or mps, with /half for half precision")
    return text


def _webhook_secret(secret: SecretStr | None) -> SecretStr | None:
    """Check that it is `whsec_` and 24–64 bytes in base64, without ever showing it."""
    if secret is None:
        return None
    said = "give whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)"
    prefix, mark, text = secret.get_secret_value().partition("whsec_")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(said) from None
    if prefix or not mark or len(key) not in _SECRET_BYTES:
        raise ValueError(said)
    return secret


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("give a text")
    return value.strip()


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


@dataclass(frozen=True, slots=True)
class Alias:
    """A variable of another system that means the same setting; it goes into the `Annotated` of a setting's type."""

    name: str
    unit: str = ""  # that its bare numbers have there, such as `ms`
    form: str = "{}"  # what is made of its value, such as `s3://{}`


Size: TypeAlias = Annotated[int, BeforeValidator(parse_size), Field(ge=0, lt=1 << 63)]
InSeconds: TypeAlias = Annotated[float, BeforeValidator(parse_duration), Field(le=_LONGEST)]
InHours: TypeAlias = Annotated[float, BeforeValidator(lambda value: parse_duration(value, unit="h"))]
InDays: TypeAlias = Annotated[float, BeforeValidator(lambda value: parse_duration(value, unit="d"))]
Whole: TypeAlias = Annotated[int, BeforeValidator(_no_truth)]
Factor: TypeAlias = Annotated[float, BeforeValidator(_no_truth), Field(allow_inf_nan=False)]
Folder: TypeAlias = Annotated[Path, BeforeValidator(parse_folder)]
OptionalFolder: TypeAlias = Annotated[Path | None, BeforeValidator(parse_folder)]
Folders: TypeAlias = Annotated[
    tuple[Annotated[Path, BeforeValidator(parse_listed_folder)], ...], BeforeValidator(split_list)
]
Socket: TypeAlias = Annotated[str | None, BeforeValidator(parse_socket)]
Address: TypeAlias = Annotated[str | None, BeforeValidator(parse_address)]
Mirror: TypeAlias = Annotated[str | None, BeforeValidator(parse_mirror)]
Host: TypeAlias = Annotated[str, BeforeValidator(parse_host)]
Device: TypeAlias = Annotated[str, BeforeValidator(_device)]
Word: TypeAlias = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=200)]
OptionalWord: TypeAlias = Annotated[str | None, BeforeValidator(lambda value: None if value is None else _text(value))]
Words: TypeAlias = Annotated[tuple[Word, ...], BeforeValidator(split_list)]
Objects: TypeAlias = Annotated[str | None, BeforeValidator(parse_objects)]
Lower = BeforeValidator(_lower)
Networks: TypeAlias = Annotated[
    tuple[Annotated[Network, BeforeValidator(parse_network)], ...], BeforeValidator(split_list)
]
Peers: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(parse_peer)], ...], BeforeValidator(split_list)]
Origins: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(parse_origin)], ...], BeforeValidator(split_list)]
WebhookSecret: TypeAlias = Annotated[SecretStr | None, AfterValidator(_webhook_secret)]
