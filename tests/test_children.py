"""What a child process gets to know of its parent's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli import command
from doors.stemset.hostile import answering, honest
from s3 import SECRET
from server import running
from sounds import sound, write_wav
from stemwright import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3 import S3

SECRETS = {
    "STEMWRIGHT_CALLBACKS_SECRET": "whsec_" + "c3RlbXdyaWdodCB0YWtlcyBhIHNvbmcgYXBhcnQ=",
    "STEMWRIGHT_STORAGE_URL": "s3://private-bucket",
    "STEMWRIGHT_STORAGE_ENDPOINT": "https://storage.example.org",
    "STEMWRIGHT_STORAGE_SECRET_ACCESS_KEY": "storage-key-1",
    "STEMWRIGHT_STORAGE_ACCESS_KEY_ID": "storage-id-1",
    "STEMWRIGHT_STEMSET_WORKER_SECRET": "whsec_" + "b3RoZXIgc2VjcmV0IG9mIHRoZSB3b3JrZXIgaGVyZSA=",
    "AWS_SECRET_ACCESS_KEY": "aws-key-1",
    "DATABASE_PASSWORD": "hunter2",
    "GITHUB_TOKEN": "ghp_1",
}


def variables_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if entry)


def below(pid: int) -> dict[int, list[str]]:
    """The command lines of all processes that a process has started, and those of theirs."""
    found: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            words = (path.parent / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if parent == pid:
            child = int(path.parent.name)
            found |= {child: words, **below(child)}
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_engines_of_a_server_know_no_secret_and_the_executor_only_its_own(tmp_path: Path, s3: S3) -> None:
    """As found: the callbacks' secret and the keys of storage were in the engine's environment."""
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=2))
    config = tmp_path / "stemwright.yaml"
    mirror = "https://weights.example.org"
    config.write_text(f"callbacks:\n  secret: ${{STEMWRIGHT_CALLBACKS_SECRET}}\nmodel:\n  mirror: {mirror}\n")
    storage = s3.variables(s3.storage())
    given = {**SECRETS, **storage, "STEMWRIGHT_CONFIG": str(config), "LC_TIME": "C"}
    with running(tmp_path / "data", **given) as server:
        files = {"file": ("song.wav", song.read_bytes())}
        job = server.http.post("/api/v1/jobs", files=files, data={"model": "sketch"}).json()
        server.wait(job["id"])
        made = server.http.get(f"/api/v1/songs/{job['song_id']}/stems/vocals.mp3")
        assert made.status_code == 200, made.text  # by an engine of the API
        assert server.process is not None
        processes = below(server.process.pid)
        engines = [pid for pid, words in processes.items() if "stemwright.app.engine" in words]
        [executor] = [pid for pid, words in processes.items() if "stemwright.app.executor" in words]
        known = {pid: variables_of(pid) for pid in (*engines, executor)}
    assert len(engines) >= 2
    for pid in engines:
        assert not {*known[pid]} & {*SECRETS}
        assert not {*known[pid].values()} & {*SECRETS.values(), *storage.values()}
        assert known[pid]["LC_TIME"] == "C"
        assert known[pid]["STEMWRIGHT_MODEL_CACHE"] == os.environ["STEMWRIGHT_MODEL_CACHE"]
        assert known[pid]["STEMWRIGHT_MODEL_MIRROR"] == mirror
        ours = {name for name in known[pid] if name.startswith("STEMWRIGHT_")}
        assert ours <= {f"STEMWRIGHT_MODEL_{name}" for name in ("CACHE", "OFFLINE", "MIRROR")} | {"STEMWRIGHT_STOP_AT"}
    assert "STEMWRIGHT_CALLBACKS_SECRET" in known[executor]  # it signs what is sent
    assert known[executor]["STEMWRIGHT_STORAGE_SECRET_ACCESS_KEY"] == SECRET  # it stores what is made
    assert "STEMWRIGHT_STEMSET_WORKER_SECRET" not in known[executor]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    children.configure(os.environ)
    yield
    monkeypatch.setattr(children, "_given", None)


def test_encoder_of_stemset_s_recordings_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sibling: an engine of `stemwright process`; what it knows is told by a program that it runs as Python."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    seen = tmp_path / "seen"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        "if 'stemwright.app.engine' in sys.orig_argv:\n"
        f"    pathlib.Path({str(seen)!r}).write_text(repr(dict(os.environ)))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "in").mkdir()
    write_wav(tmp_path / "in" / "song.wav", sound("noise", seconds=0.2))
    with answering(honest(tmp_path)) as worker:
        (tmp_path / "config.yaml").write_text(
            "profiles: [{name: gpu, source_folder: in, strategy: fast, remote: true, output: {format: mp3}}]\n"
            f"gpu_worker_url: {worker.url}\n"
        )
        command.run("process", "gpu", cwd=tmp_path)
    [made] = (tmp_path / "media" / "gpu").glob("*/vocals.mp3")
    assert made.stat().st_size > 0
    assert not [name for name in SECRETS if name in seen.read_text()]
    assert "PATH" in seen.read_text()


@pytest.mark.usefixtures("configured")
def test_what_the_system_and_the_libraries_read_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HTTPS_PROXY", "https_proxy", "HF_HOME", "OMP_NUM_THREADS", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "x")
        assert (children.environment() or {})[name] == "x"
    assert not {*(children.environment() or {})} & {*SECRETS}
    assert (children.environment(OWN="1") or {})["OWN"] == "1"


def test_command_line_s_children_know_no_secret_either(tmp_path: Path) -> None:
    """Sibling: `ffmpeg -version`, and whatever else the command starts."""
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!/bin/sh\nenv >> {tmp_path}/seen\necho ffmpeg version 0\n")
    fake.chmod(0o755)
    env = os.environ | SECRETS | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "stemwright", "doctor"], env=env, check=False, capture_output=True)
    seen = (tmp_path / "seen").read_text()
    assert seen
    assert not [name for name in SECRETS if name in seen]
