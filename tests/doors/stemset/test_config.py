from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from stemwright.doors.stemset.config import ConfigFileError, Stemset, UnknownProfileError
from stemwright.doors.stemset.load import load_stemset
from stemwright.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

# source 003, "Strategy Trees", "Remote Processing" and "Environment Variable Substitution", with models that are here
WHOLE = """
strategies:
  successive:
    _: sketch
    vocals: vocals
    not_vocals:
      _: sketch
      drums: drums
      not_drums:
        _: sketch
        bass: bass
        not_bass: other
auth:
  google_client_id: ${GOOGLE_CLIENT_ID}
  google_client_secret: secret
  jwt_secret: ${JWT_SECRET}
  allowed_emails: [me@example.org]
r2: {account_id: a, access_key_id: b, secret_access_key: c, bucket_name: stemset-media}
gpu_worker_url: ${GPU_WORKER_URL}
profiles:
  - name: "h4n"
    source_folder: ./input/h4n
    remote: true
    strategy: "hdemucs_mmi"
  - name: one
    source_folder: /recordings
    strategy: successive
    output: {format: wav}
"""


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_CLIENT_ID", "JWT_SECRET", "GPU_WORKER_URL"):
        monkeypatch.delenv(name, raising=False)


def load(folder: Path, text: str, *, env: str = "") -> Stemset:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    if env:
        (folder / ".env").write_text(env, encoding="utf-8")
    return load_stemset(folder / "config.yaml", environ=os.environ)


def fault(folder: Path, text: str) -> str:
    with pytest.raises(ConfigFileError) as caught:
        load(folder, text)
    return caught.value.message


def test_all_variables_that_are_missing_are_named_at_once(tmp_path: Path) -> None:
    said = fault(tmp_path, WHOLE)
    assert "GOOGLE_CLIENT_ID, JWT_SECRET, GPU_WORKER_URL" in said


def test_variables_come_from_the_file_beside_it_and_the_environment_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_WORKER_URL", "https://gpu.example.org/")
    stemset = load(
        tmp_path, WHOLE, env="GOOGLE_CLIENT_ID='a: {b}'\nexport JWT_SECRET=x # said aloud\nGPU_WORKER_URL=http://no\n"
    )
    assert stemset.worker_url == "https://gpu.example.org"
    h4n, one = stemset.profiles
    assert (h4n.remote, h4n.strategy, h4n.output.codec.name, h4n.output.bits) == (True, "hdemucs_mmi", "opus", 192_000)
    assert (one.remote, one.output.codec.name, one.output.bits) == (False, "wav16", None)
    assert stemset.source_folder(h4n) == tmp_path / "input" / "h4n"
    assert str(stemset.source_folder(one)) == "/recordings"
    assert stemset.media == tmp_path / "media"
    tree = stemset.strategy(one)
    assert tree is not None
    assert tree.stems == ("vocals", "drums", "bass", "other")


def test_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownProfileError, match="Profile 'x' not found"):
        load(tmp_path, "profiles: []").profile("x")


ONE = "profiles:\n  - {name: one, source_folder: ., strategy: fast%s}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("profiles: [", "not YAML in line 1"),
        ("profiles: []\nprofiles: []", "profiles: given again in line 2"),
        ("profils: []", "profils: Extra inputs are not permitted"),
        (ONE % ", output: {format: aiff}", "profiles.0.output.format"),
        (ONE % ", output: {format: opus, bitrate: 512}", "opus takes 6 to 256 kbit/s"),
        (ONE % ", remote: true", "gpu_worker_url is needed for the remote profile one"),
        ((ONE % "").replace("name: one", "name: ../../etc"), "profiles.0.name"),
        ((ONE % "").replace("strategy: fast", "strategy: nothing"), "profile one: there is no model 'nothing'"),
        (ONE % "" + "  - {name: one, source_folder: a, strategy: fast}", "one is there more than once"),
        ("strategies: {bad: {_: sketch, guitar: guitar}}", "guitar"),
        ("gpu_worker_url: ftp://x", "give the address of a Stemwright server"),
        ("gpu_worker_url: ${1}", "gpu_worker_url: a ${ that is no ${NAME}"),
    ],
)
def test_what_cannot_work_fails_at_once_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    assert words in fault(tmp_path, text)


def test_secrets_that_are_wrong_are_not_shown(tmp_path: Path) -> None:
    text = "auth: {google_client_id: a, google_client_secret: [hidden], jwt_secret: b, allowed_emails: [c]}"
    said = fault(tmp_path, text)
    assert "auth.google_client_secret" in said
    assert "hidden" not in said


def test_strategy_of_the_file_goes_before_one_of_the_package_but_uploads_do_not_mistake_them(tmp_path: Path) -> None:
    mine = "strategies: {fast: {_: sketch, vocals: vocals, not_vocals: band}}\n"
    stemset = load(tmp_path, mine + ONE % "")
    tree = stemset.strategy(stemset.profiles[0])
    assert tree is not None
    assert tree.stems == ("vocals", "band")
    with pytest.raises(OptionError, match=r"the strategy fast is one of config\.yaml alone"):
        stemset.check_shared(stemset.profiles[0])
    same = "strategies: {fast: {_: sketch, vocals: vocals, drums: drums, bass: bass, other: other}}\n"
    stemset = load(tmp_path, same + ONE % "")
    stemset.check_shared(stemset.profiles[0])
