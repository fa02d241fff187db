"""The catalogue: every family by its entry point, ours like anybody's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stemwright import errors
from stemwright.separators import catalogue
from stemwright.separators.protocol import LoadOptions

if TYPE_CHECKING:
    from pathlib import Path

ACME = """
from stemwright.separators.protocol import ModelInfo

class Acme:
    name = "acme"
    def models(self):
        return (ModelInfo(name="acme1", family="acme", summary="", stems=("voice",), licence="MIT", source=""),)
    def availability(self, name, /, *, repo=None):
        return "ready"
    def load(self, name, /, options):
        return ("loaded", name, options)

class Other(Acme):
    name = "other"
    def models(self):
        raise KeyError("model_name")

FAMILY = Acme()
OTHER = Other()
SAME_NAME = Acme()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Install a third party's distribution with the entry points given."""

    def install(**entries: str) -> None:
        (tmp_path / "acme_separators.py").write_text(ACME, encoding="utf-8")
        (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no licence key')", encoding="utf-8")
        folder = tmp_path / "acme-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        text = "\n".join([f"[{catalogue.GROUP}]", *lines])
        (folder / "entry_points.txt").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "acme_separators", raising=False)

    return install


def test_our_families_are_registered_and_work() -> None:
    assert {"demucs", "sketch"} <= set(catalogue.families())
    assert catalogue.problems() == []
    names = [info.name for _, info in catalogue.list_models()]
    assert {"htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "sketch"} <= set(names)
    assert len(names) == len(set(names))
    assert all(info.family == family.name for family, info in catalogue.list_models())


def test_a_third_party_is_registered_in_the_same_way(install: object) -> None:
    assert callable(install)
    install(acme="acme_separators:FAMILY")
    family, info = catalogue.find_model("acme1")
    assert (family.name, info.stems) == ("acme", ("voice",))
    options = LoadOptions(device="cpu")
    loaded: object = catalogue.load("acme1", options=options)
    assert loaded == ("loaded", "acme1", options)


def test_families_that_do_not_work_are_told_and_the_others_go_on(install: object) -> None:
    assert callable(install)
    install(
        a_broken="acme_broken:FAMILY",
        b_gone="acme_gone:FAMILY",
        c_lacking="acme_separators:Acme.name",
        d_acme="acme_separators:FAMILY",
        e_twin="acme_separators:SAME_NAME",
    )
    assert {"acme", "demucs", "sketch"} <= set(catalogue.families())
    broken, gone, lacking, twin = catalogue.problems()
    assert "a_broken" in broken
    assert "no licence key" in broken
    assert "acme_gone" in gone
    assert "lacks name, models, availability, load" in lacking
    assert "registered twice" in twin


def test_family_that_cannot_say_which_models_it_has_is_told_and_the_others_go_on(install: object) -> None:
    assert callable(install)
    install(a_other="acme_separators:OTHER", b_acme="acme_separators:FAMILY")
    assert {"acme1", "sketch"} <= {info.name for _, info in catalogue.list_models()}
    assert catalogue.find_model("sketch")[0].name == "sketch"
    problem = "the separator family other cannot say which models it has: KeyError: 'model_name'"
    assert catalogue.problems() == [problem]
    with pytest.raises(errors.UnknownModelError, match=f"; {problem}"):
        catalogue.find_model("other1")


def test_an_unknown_model_is_an_error_that_names_those_called_nearly_so(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownModelError, match="did you mean htdemucs"):
        catalogue.find_model("htdemuc")
    with pytest.raises(errors.UnknownModelError, match=r"there are: .*sketch") as caught:
        catalogue.find_model("zzzz")
    assert len(caught.value.message) < 500  # not all of the 150 of audio-separator
    with pytest.raises(errors.UnknownModelError, match=tmp_path.name):
        catalogue.load("zzzz", options=LoadOptions(repo=tmp_path))


def test_a_folder_of_weights_adds_its_names(repo: Path) -> None:
    family, info = catalogue.find_model("weighted", repo=repo)
    assert (family.name, info.name, info.family, info.stems) == ("demucs", "weighted", "demucs", ())
    with pytest.raises(errors.UnknownModelError):
        catalogue.find_model("weighted")
    assert catalogue.find_model("sketch", repo=repo)[0].name == "sketch"
    separator = catalogue.load("weighted", options=LoadOptions(repo=repo, device="cpu"))
    assert separator.spec.info.stems == ("drums", "bass", "other", "vocals")


def test_auto_is_the_best_model_when_its_weights_are_here(hub_files: Path) -> None:
    separator, why = catalogue.choose_auto(LoadOptions(repo=hub_files, device="cpu"))
    assert separator.spec.info.name == "htdemucs"
    assert why is None


def test_auto_is_the_draft_when_not_and_says_why() -> None:
    separator, why = catalogue.choose_auto(LoadOptions())
    assert separator.spec.info.name == "sketch"
    assert why is not None
    assert "draft" in why
    assert "weights of htdemucs are not on this machine" in why


def test_auto_with_a_folder_that_lacks_the_model_is_an_error(repo: Path) -> None:
    with pytest.raises(errors.ModelUnavailableError, match="htdemucs is not in"):
        catalogue.choose_auto(LoadOptions(repo=repo))


def test_auto_is_resolved_without_loading_to_the_model_that_would_be_loaded(hub_files: Path, repo: Path) -> None:
    assert catalogue.resolve("auto", repo=hub_files) == "htdemucs"
    assert catalogue.resolve("auto", repo=None) == "sketch"
    assert catalogue.resolve("auto", repo=repo) == "sketch"
    assert catalogue.resolve("no such model", repo=None) == "no such model"


def test_auto_is_resolved_to_the_draft_where_a_family_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str, *, repo: Path | None = None) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(catalogue, "find_model", fail)
    assert catalogue.resolve("auto", repo=None) == "sketch"
    assert "auto is the draft" in caplog.text


def test_auto_does_not_hide_damaged_weights(hub_files: Path, tmp_path: Path) -> None:
    shutil.copytree(hub_files, tmp_path, dirs_exist_ok=True)
    (tmp_path / "955717e8.safetensors").write_bytes(b"not weights")
    with pytest.raises(errors.WeightsError):
        catalogue.choose_auto(LoadOptions(repo=tmp_path, device="cpu"))


def test_listing_the_models_imports_nothing_heavy() -> None:
    code = (
        "import sys; from stemwright.separators import catalogue as c; c.list_models(); c.problems();"
        "[f.availability(i.name) for f, i in c.list_models()];"
        "assert not {'torch', 'demucs'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
