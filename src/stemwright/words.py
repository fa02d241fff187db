"""Texts from outside, before anybody reads them: control characters, and secrets in addresses."""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")  # and what turns lines round
_USER: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.\-]*://)[^\s/?#]*@")
_QUERY: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s?#]*)[?#][^\s'\"]*")


def has_controls(text: str) -> bool:
    r"""Whether a text holds control characters (Unicode's category Cc), which no name and no address needs.

    >>> has_controls("song.wav"), has_controls("song\n.wav"), has_controls("\x9b31m")
    (False, True, True)
    """
    return _CONTROLS.search(text) is not None


def plain(text: str, *, most: int = 300) -> str:
    r"""A text as one line of at most `most` characters, without what moves a terminal's cursor or turns lines round.

    >>> plain("Sodium\r\n\x1b[2J(live)")
    'Sodium [2J(live)'
    """
    return _UNFIT.sub(" ", text[:most]).strip()


def without_secrets(text: str) -> str:
    """A text whose addresses have lost user names, passwords and queries.

    >>> without_secrets("ws://dj:pw@engine:8080/ws?token=1 refuses")
    'ws://***@engine:8080/ws?*** refuses'
    """
    return _QUERY.sub(r"\1?***", _USER.sub(r"\1***@", text))


def shortened(text: str, *, most: int = 80) -> str:
    """A text of at most `most` characters; an ellipsis stands for the rest.

    >>> shortened("xylophone", most=5)
    'xylo…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
