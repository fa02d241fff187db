"""Demucs' weights: nothing is run or loaded that is not a model, and the hub is asked politely and briefly."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from stemwright import errors
from stemwright.separators._demucs_publishers import SIGNATURES
from stemwright.separators.demucs import FAMILY, DemucsSeparator
from stemwright.separators.protocol import LoadOptions
from stemwright.weights import config
from tiny_demucs import make_network, package, save_bag, save_safetensors, save_th

torch = pytest.importorskip("torch")
pytest.importorskip("demucs")

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(name: str, repo: Path, **options: Any) -> DemucsSeparator:
    separator = FAMILY.load(name, LoadOptions(repo=repo, device="cpu", **options))
    assert isinstance(separator, DemucsSeparator)
    return separator


# --- the digest


def test_the_digest_depends_on_what_is_loaded_and_not_on_where(repo: Path, tmp_path: Path) -> None:
    digest = load("weighted", repo).spec.weights_digest
    copy = shutil.copytree(repo, tmp_path / "elsewhere")
    assert load("weighted", copy).spec.weights_digest == digest
    assert load("weighted", copy, stems=("other",)).spec.weights_digest == digest
    save_bag(copy, "weighted", ["weighted0", "weighted1"], weights=[[1, 1, 1, 1], [1, 1, 1, 2]])
    assert load("weighted", copy).spec.weights_digest != digest
    digests = {load(name, repo).spec.weights_digest for name in ("tiny", "hybrid", "waves", "weighted", "mixed")}
    assert len(digests) == 5


# --- files that are not what they claim to be


class Bomb:
    """Makes a file when it is unpickled by anything that trusts it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("place", ["klass", "state", "training_args", "kwargs"])
def test_a_pickle_with_code_is_refused_and_not_run(place: str, tmp_path: Path) -> None:
    torch.save(package(make_network()) | {place: Bomb(tmp_path / "boom")}, tmp_path / "evil.th")
    with pytest.raises(errors.WeightsError, match="refused"):
        load("evil", tmp_path)
    assert not (tmp_path / "boom").exists()
    torch.load(tmp_path / "evil.th", weights_only=False)
    assert (tmp_path / "boom").exists(), "the bomb of this test is a dud"


def test_a_pickle_whose_class_is_no_network_is_refused(tmp_path: Path) -> None:
    from fractions import Fraction

    torch.save(package(make_network()) | {"klass": Fraction, "args": (1, 2), "kwargs": {}}, tmp_path / "odd.th")
    with pytest.raises(errors.WeightsError, match="refused"):
        load("odd", tmp_path)


@pytest.mark.parametrize("klass", ["os.system", "subprocess.Popen", "demucs.hdemucs.HEncLayer", "pathlib.Path"])
def test_safetensors_that_name_another_class_are_refused(klass: str, tmp_path: Path) -> None:
    command = json.dumps([f"touch {tmp_path / 'boom'}"])
    save_safetensors(make_network(), tmp_path, "evil", klass=klass, args=command, kwargs='{"shell": true}')
    with pytest.raises(errors.WeightsError, match="refused"):
        load("evil", tmp_path)
    assert not (tmp_path / "boom").exists()


def test_safetensors_with_a_structure_are_refused_before_a_class_of_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "landmine.py").write_text(f"open({str(tmp_path / 'boom')!r}, 'w')", encoding="utf-8")
    structure = json.dumps({"_dict": [["meta", {"_class": "landmine.Mine"}]]})
    save_safetensors(make_network(), tmp_path, "evil", structure=structure)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(errors.WeightsError, match="diffq"):
            load("evil", tmp_path)
    finally:
        sys.path.remove(str(tmp_path))
    assert not (tmp_path / "boom").exists()


def test_a_quantised_pickle_is_refused_with_the_reason(tmp_path: Path) -> None:
    torch.save(package(make_network()) | {"state": {"__quantized": True}}, tmp_path / "small.th")
    with pytest.raises(errors.WeightsError, match="diffq"):
        load("small", tmp_path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = save_th(make_network(), tmp_path, "one")
    load("one", tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(errors.WeightsError, match="checksum"):
        load("one", tmp_path)


@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", bytes(range(256)) * 40])
def test_bytes_that_are_no_model_are_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"noise{suffix}").write_bytes(content)
    with pytest.raises(errors.WeightsError, match="noise"):
        load("noise", tmp_path)


@pytest.mark.parametrize("save", [partial(save_th, checksum=False), save_safetensors])
def test_a_truncated_file_is_refused(save: Any, tmp_path: Path) -> None:
    path = save(make_network(), tmp_path, "half")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(errors.WeightsError, match="half"):
        load("half", tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": {}},
        {"args": ()},
        {"args": (["../up", "b", "c", "d"],)},
        {"args": (["a", "a", "c", "d"],)},
        {"kwargs": {"segment": "long"}},
        {"klass": None},
    ],
)
def test_a_package_that_does_not_fit_together_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    whole = package(make_network())
    torch.save(whole | changes | {"kwargs": whole["kwargs"] | changes.get("kwargs", {})}, tmp_path / "odd.th")
    with pytest.raises(errors.WeightsError, match="odd"):
        load("odd", tmp_path)


@pytest.mark.parametrize(
    "definition",
    [
        "",
        "models: []",
        "models: [1]",
        "models: {",
        "weights: [[1]]",
        "models: [one]\nweights: [[1, 1, 1, 1], [1, 1, 1, 1]]",
        "models: [one]\nweights: [[1, 1, 1]]",
        "models: [one]\nweights: [[1, 1, 1, .nan]]",
        "models: [one]\nweights: [[1, 1, 1, 0]]",
        "models: [one]\nsegment: -1",
        "models: !!python/object/apply:os.system ['true']",
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(definition: str, folder_with_network: Path) -> None:
    (folder_with_network / "bag.yaml").write_text(definition, encoding="utf-8")
    with pytest.raises(errors.WeightsError):
        load("bag", folder_with_network)


def test_a_bag_of_networks_that_do_not_fit_is_refused(folder_with_network: Path) -> None:
    save_th(make_network(sources=("a", "b", "c", "d")), folder_with_network, "two")
    save_bag(folder_with_network, "bag", ["one", "two"])
    with pytest.raises(errors.WeightsError, match="two"):
        load("bag", folder_with_network)


def test_what_is_not_in_the_folder_is_unavailable_and_twice_is_refused(folder_with_network: Path) -> None:
    with pytest.raises(errors.ModelUnavailableError, match=r"which has: one$"):
        load("other", folder_with_network)
    with pytest.raises(errors.ModelUnavailableError, match="cannot be read: No such file"):
        load("one", folder_with_network / "nowhere")
    (folder_with_network / "dir.th").mkdir()
    with pytest.raises(errors.WeightsError, match="cannot be read: Is a directory"):
        load("dir", folder_with_network)
    save_bag(folder_with_network, "bag", ["one", "gone"])
    with pytest.raises(errors.ModelUnavailableError, match="gone"):
        load("bag", folder_with_network)
    save_safetensors(make_network(), folder_with_network, "one")
    with pytest.raises(errors.WeightsError, match="more than once"):
        load("one", folder_with_network)
    with pytest.raises(errors.UnknownModelError, match="htdemucs_ft"):
        FAMILY.load("one", LoadOptions())


# --- the hub


def test_the_catalogue_names_what_demucs_downloads() -> None:
    from demucs import hf, pretrained

    for info in FAMILY.models():
        hub = info.publishers[0]
        assert hub.name == f"Hugging Face hub, {hf.DEFAULT_NAMESPACE}/{hf.hf_repo_name(info.name)}"
        bag = yaml.safe_load((pretrained.REMOTE_ROOT / f"{info.name}.yaml").read_text())
        assert tuple(bag["models"]) == SIGNATURES[info.name]
        assert 10**7 < info.download_bytes < 10**9
    assert FAMILY.models()[2].stems[4:] == ("guitar", "piano")


def test_every_statement_about_the_licence_is_there_with_its_source() -> None:
    [info] = [info for info in FAMILY.models() if info.name == "htdemucs"]
    said = {statement.source.split()[0]: statement.text for statement in info.statements}
    assert "personal and research use only" in said["LICENSE.md"]
    assert "only for scientific purposes" in said["Demucs'"]
    assert said["the"] == "mit"
    assert "MIT" not in info.licence


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's own tools, and an empty one of ours."""
    here = config.Config(cache=tmp_path / "ours", hub_cache=tmp_path / "hub")
    monkeypatch.setattr(config, "_current", here)
    return tmp_path / "hub"


def fill(cache: Path, *, files: list[Path]) -> None:
    """Put the files where the hub's library puts what it downloaded."""
    place = cache / "models--adefossez--HTDemucs"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    (place / "snapshots" / COMMIT).mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, place / "snapshots" / COMMIT)


def test_what_is_in_the_cache_is_ready_and_loads_without_a_network(cache: Path, hub_files: Path) -> None:
    assert FAMILY.availability("htdemucs") == "download"
    fill(cache, files=[hub_files / "htdemucs.yaml"])
    assert FAMILY.availability("htdemucs") == "download"
    fill(cache, files=list(hub_files.iterdir()))
    assert FAMILY.availability("htdemucs") == "ready"
    spec = FAMILY.load("htdemucs", LoadOptions(device="cpu")).spec
    assert spec.info == FAMILY.models()[0]
    assert spec.publisher == FAMILY.models()[0].publishers[0]
    assert spec.weights_digest == load("htdemucs", hub_files).spec.weights_digest


def test_offline_what_is_not_in_the_cache_is_missing() -> None:
    assert config.current().offline
    assert FAMILY.availability("htdemucs") == "missing"
    with pytest.raises(errors.ModelUnavailableError, match="offline"):
        FAMILY.load("htdemucs", LoadOptions())


def test_availability_in_a_folder(repo: Path, tmp_path: Path) -> None:
    assert FAMILY.availability("tiny", repo=repo) == "ready"
    assert FAMILY.availability("alone", repo=repo) == "ready"
    assert FAMILY.availability("htdemucs", repo=repo) == "missing"
    assert FAMILY.availability("tiny", repo=tmp_path / "nowhere") == "missing"
    save_bag(tmp_path, "broken", ["gone"])
    assert FAMILY.availability("broken", repo=tmp_path) == "missing"
    assert FAMILY.availability("unheard-of") == "missing"


def test_without_torch_other_networks_are_missing_and_say_what_to_install(
    repo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "demucs", None)  # Python's own way to say that there is no such module
    assert FAMILY.availability("htdemucs") == "download"
    assert FAMILY.availability("hdemucs_mmi") == "missing"
    assert FAMILY.availability("tiny", repo=repo) == "missing"
    for name, folder in (("tiny", repo), ("hdemucs_mmi", None)):
        with pytest.raises(errors.ModelUnavailableError, match=r"needs the extra \[demucs\]"):
            FAMILY.load(name, LoadOptions(repo=folder, device="cpu"))


ASK = """
import json, time
from stemwright import errors
from stemwright.app.settings import load_settings
from stemwright.app.weights import use_weights
from stemwright.separators.demucs import FAMILY
from stemwright.separators.protocol import LoadOptions
use_weights(load_settings())
began = time.monotonic()
answer = {"before": FAMILY.availability("htdemucs")}
for trial in (1, 2):
    try:
        answer["digest"] = FAMILY.load("htdemucs", LoadOptions(device="cpu")).spec.weights_digest
    except errors.StemwrightError as error:
        answer |= {"code": error.code, "message": error.message}
    answer[f"seconds{trial}"] = time.monotonic() - began
print(json.dumps(answer | {"after": FAMILY.availability("htdemucs")}))
"""


def ask_a_hub(endpoint: str, cache: Path, *, script: str = ASK) -> dict[str, Any]:
    """What a fresh process with this cache gets from a hub, where there is no npm."""
    command, environment = [sys.executable, "-c", script], environment_of(endpoint, cache)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def environment_of(endpoint: str, cache: Path) -> dict[str, str]:
    ours = {"STEMWRIGHT_MODEL_CACHE": str(cache), "STEMWRIGHT_MODEL_OFFLINE": "false", "PATH": "/nowhere"}
    return {**os.environ, "HF_ENDPOINT": endpoint, "NO_PROXY": "*", **ours}


@contextmanager
def silent_hub() -> Iterator[str]:
    """A machine that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def absent_hub() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("hub", [absent_hub, silent_hub])
def test_a_hub_that_cannot_be_reached_is_told_quickly_and_clearly(hub: Any, tmp_path: Path) -> None:
    with hub() as endpoint:
        answer = ask_a_hub(endpoint, tmp_path)
    assert answer["seconds2"] < 6  # two for the hub that is silent, once; the rest is the start of npm and of torch
    assert answer["seconds2"] - answer["seconds1"] < 0.5  # remembered
    assert answer["code"] == "model_unavailable"
    assert (answer["before"], answer["after"]) == ("download", "missing")
    assert "adefossez/HTDemucs" in answer["message"]
    assert "npm is not on this machine" in answer["message"]
    assert "stemwright models pull htdemucs" in answer["message"]
    assert not list(tmp_path.rglob("*.safetensors"))


class Hub(SimpleHTTPRequestHandler):
    """`/adefossez/HTDemucs/resolve/main/FILE` as the hub serves it."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix("/adefossez/HTDemucs/resolve/main"))

    def end_headers(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.send_header("ETag", f'"{sha256(file.read_bytes()).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hub_of(files: Path, kind: type[Hub] = Hub) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(files))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_weights_come_from_the_hub_into_our_cache(hub_files: Path, tmp_path: Path) -> None:
    with hub_of(hub_files) as endpoint:
        answer = ask_a_hub(endpoint, tmp_path)
    assert answer["before"] == "download"
    assert answer["digest"] == load("htdemucs", hub_files).spec.weights_digest
    assert answer["after"] == "ready"


class HoldingHub(Hub):
    """The same, but of the weights it sends half, and then nothing until the other end is gone."""

    sent = threading.Event()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        if not self.path.endswith(".safetensors"):
            outputfile.write(content)
            return
        outputfile.write(content[: len(content) // 2])
        outputfile.flush()
        self.sent.set()
        self.connection.recv(1)


def test_kill_9_in_the_middle_of_a_download_leaves_nothing_to_trust(hub_files: Path, tmp_path: Path) -> None:
    with hub_of(hub_files, HoldingHub) as endpoint:
        process = subprocess.Popen([sys.executable, "-c", ASK], env=environment_of(endpoint, tmp_path))
        try:
            assert HoldingHub.sent.wait(60)
            deadline = time.monotonic() + 60
            while not any(path.stat().st_size for path in tmp_path.rglob("*.part")):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
    assert [*tmp_path.rglob("*.part")]
    assert not [*tmp_path.rglob("*.safetensors")]
    with hub_of(hub_files) as endpoint:
        answer = ask_a_hub(endpoint, tmp_path)
    assert answer["before"] == "download"
    assert answer["digest"] == load("htdemucs", hub_files).spec.weights_digest


PULL_AGAIN = """
import json
from stemwright.app.settings import load_settings
from stemwright.app.weights import use_weights
from stemwright.separators.demucs import FAMILY

use_weights(load_settings())
FAMILY.pull("htdemucs", again=True)
print(json.dumps({"state": FAMILY.availability("htdemucs")}))
"""


def test_pulled_again_damaged_weights_are_replaced(hub_files: Path, tmp_path: Path) -> None:
    with hub_of(hub_files) as endpoint:
        ask_a_hub(endpoint, tmp_path)
        [damaged] = {path.resolve() for path in tmp_path.rglob("*.safetensors")}
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert ask_a_hub(endpoint, tmp_path, script=PULL_AGAIN)["state"] == "ready"
    [new] = {path.resolve() for path in tmp_path.rglob("*.safetensors")}
    assert new.read_bytes() == whole
