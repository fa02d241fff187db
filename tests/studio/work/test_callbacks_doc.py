"""docs/callbacks.md is true: its receiver understands what the sender sends."""

from __future__ import annotations

import asyncio
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from needs import needs
from stemwright.studio.work.webhooks import Outcome, Sender
from studio.work.receivers import quiet_server

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

    import pytest

DOC = (Path(__file__).parents[3] / "docs" / "callbacks.md").read_text(encoding="utf-8")
SECRET = "whsec_" + "c3RlbXdyaWdodCB0YWtlcyBhIHNvbmcgYXBhcnQ="


def example(language: str) -> str:
    [block] = re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)
    return str(block)


def send(server: ThreadingHTTPServer, *, secret: str | None, message_id: str = "msg_1") -> Outcome:
    sender = Sender(secret, allow=["127.0.0.1"], timeout=5)
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    at = datetime.now(UTC)
    message: dict[str, Any] = {"message_id": message_id, "event": "job.succeeded", "payload": {"id": "7"}, "at": at}
    return asyncio.run(sender.send(url, **message))


def test_python_receiver_verifies_and_takes_each_message_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALLBACK_SECRET", SECRET)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(example("python"), "callbacks.md", "exec"), names)
    with quiet_server(names["Receiver"]) as server:
        for _ in range(2):
            assert send(server, secret=SECRET).status == 204
        assert send(server, secret=SECRET[:-4] + "bmQ=", message_id="msg_2").status == 401
        assert send(server, secret=None, message_id="msg_3").status == 401
    assert names["seen"] == {"msg_1"}
    assert capsys.readouterr().out == "job.succeeded {'id': '7'}\n"


@needs("node")
def test_javascript_receiver_is_javascript(tmp_path: Path) -> None:
    (tmp_path / "receiver.mjs").write_text(example("js"))
    subprocess.run(["node", "--check", tmp_path / "receiver.mjs"], check=True, capture_output=True)


def test_every_outcome_is_explained() -> None:
    source = (Path(__file__).parents[3] / "src" / "stemwright" / "studio" / "work" / "webhooks.py").read_text(
        encoding="utf-8"
    )
    codes = {*re.findall(r'_FailedError\("(\w+)"', source), *re.findall(r'error = "(\w+)"', source)}
    codes |= {"bad_callback_url", "status", "connection_failed"}
    assert len(codes) >= 8
    for code in codes:
        assert f"`{code}`" in DOC
