"""What `child_for_tests.py` can be asked for beside the requests of the product."""

from __future__ import annotations

from stemwright.engine.process.messages import Nothing, Request
from stemwright.records import Record


class Echoed(Record):
    """Who answered, and what it was told."""

    pid: int
    text: str


class Echo(Request[Echoed]):
    answer = Echoed
    what: str = "echo"
    text: str = ""


class Stages(Request[Nothing]):
    answer = Nothing
    what: str = "stages"


class Fail(Request[Nothing]):
    answer = Nothing
    what: str = "fail"
    code: str


class Die(Request[Nothing]):
    answer = Nothing
    what: str = "die"
    signal: int


class Leave(Request[Nothing]):
    answer = Nothing
    what: str = "leave"
    code: int


class Sleep(Request[Nothing]):
    answer = Nothing
    what: str = "sleep"


class Grow(Request[Nothing]):
    answer = Nothing
    what: str = "grow"
    size: int


class Babble(Request[Nothing]):
    """Answer as a child of another version would."""

    answer = Nothing
    what: str = "babble"
    line: str
