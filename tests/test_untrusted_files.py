"""Settings that nobody named, in a folder where others write: what they may have written steers nothing."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from cli.command import lines, run
from stemwright import disk
from stemwright.app.settings import load_settings, settings_model
from stemwright.app.wiring import jobs_config
from stemwright.disk import ForeignFileError, read_found
from stemwright.doors.stemset.load import door_config, load_stemset
from stemwright.errors import UntrustedFileError

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which only root can")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEMWRIGHT_CONFIG", raising=False)


def planted(name: str, text: str, *, how: str = "another's") -> Path:
    """A file as another user would leave it in a folder that both can write."""
    path = Path(name).absolute()
    path.write_text(text)
    if how == "another's":
        os.chown(path, NOBODY, NOBODY)
    elif how == "everybody's":
        path.chmod(0o666)
    elif how == "a group's":
        os.chown(path, -1, NOBODY)
        path.chmod(0o664)
    else:
        path.rename(path.with_name("target"))
        path.symlink_to("target")
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return path


WAYS = [
    "everybody's",
    *(pytest.param(how, marks=as_root) for how in ("another's", "a group's", "by another's link")),
]


@as_root
def test_commands_do_not_obey_another_user_s_settings_in_the_current_folder(tmp_path: Path) -> None:
    """The attack: `model.mirror`, `model.repo` or `data` of an attacker's for whoever works in this folder."""
    path = planted("stemwright.yaml", "model: {mirror: https://evil.example, repo: /tmp/evil}")
    [said] = lines(run("separate", tmp_path / "song.wav", "--json", code=2, cwd=tmp_path))
    assert said["error"]["code"] == "untrusted_file"
    assert str(path) in said["error"]["message"]
    assert "chown" in said["error"]["message"]
    assert "untrusted_file" in run("config", code=2, cwd=tmp_path).stderr
    assert run("config", "--config", path, cwd=tmp_path).stdout.count("evil.example") == 1


@pytest.mark.parametrize("how", WAYS)
def test_settings_that_others_may_have_written_are_refused_unless_named(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = planted("stemwright.yaml", "port: 7", how=how)
    with pytest.raises(UntrustedFileError, match=r"stemwright\.yaml .*(another user|other users).* STEMWRIGHT_CONFIG"):
        load_settings()
    assert load_settings(path).port == 7
    monkeypatch.setenv("STEMWRIGHT_CONFIG", str(path))
    assert load_settings().port == 7


@pytest.mark.parametrize("how", WAYS)
def test_stemset_s_file_that_others_may_have_written_is_refused_unless_named(how: str) -> None:
    """Sibling: `./config.yaml`, which says where recordings go."""
    path = planted("config.yaml", "gpu_worker_url: https://evil.example", how=how)
    with pytest.raises(UntrustedFileError, match=r"config\.yaml"):
        load_stemset(path, environ=os.environ, found=True)
    assert load_stemset(path, environ=os.environ).worker_url == "https://evil.example"


@as_root
def test_process_does_not_obey_another_user_s_config(tmp_path: Path) -> None:
    planted("config.yaml", "profiles: [{name: a, source_folder: /, strategy: auto}]")
    [said] = lines(run("process", "a", "--json", code=2, cwd=tmp_path))
    assert said["error"]["code"] == "untrusted_file"


@pytest.mark.parametrize("how", WAYS)
def test_variables_beside_a_named_configuration_are_not_anybody_s(how: str, tmp_path: Path) -> None:
    """Sibling: `.env`, which nobody names, may let everybody in."""
    config = tmp_path / "config.yaml"
    config.write_text("gpu_worker_url: ${URL}")
    planted(".env", "URL=https://evil.example\nSTEMSET_BYPASS_AUTH=true", how=how)
    with pytest.raises(UntrustedFileError, match=r"\.env .*variables in the environment"):
        load_stemset(config, environ=os.environ)
    config.write_text("gpu_worker_url: https://good.example")
    with pytest.raises(UntrustedFileError, match=r"\.env"):
        settings = settings_model().model_validate({"stemset": {"config": config}})
        door_config(settings.door("stemset"), jobs_config(settings), home=tmp_path / "stemset")


@as_root
def test_variables_of_who_wrote_the_named_configuration_are_read(tmp_path: Path) -> None:
    """A folder of another user, as a container sees it, that the operator named."""
    config = planted("config.yaml", "gpu_worker_url: ${URL}")
    planted(".env", "URL=https://good.example")
    assert load_stemset(config, environ=os.environ).worker_url == "https://good.example"
    with pytest.raises(UntrustedFileError):
        load_stemset(config, environ=os.environ, found=True)


@as_root
def test_file_of_a_user_whose_group_has_no_other_member_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many systems make files 0664 for a group of the user's name."""
    path = Path("stemwright.yaml")
    path.write_text("port: 7")
    path.chmod(0o664)
    assert load_settings().port == 7
    members = grp.getgrgid(0)
    monkeypatch.setattr(grp, "getgrgid", lambda _: type(members)((members[0], "x", 0, ["mallory"])))
    with pytest.raises(UntrustedFileError):
        load_settings()


@as_root
def test_file_that_takes_the_place_of_ours_after_the_look_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("stemwright.yaml").absolute()
    path.write_text("port: 7")
    real = disk.open_regular

    def swapped(place: Path) -> object:
        place.rename("away")
        planted("stemwright.yaml", "port: 8")
        return real(place)

    monkeypatch.setattr(disk, "open_regular", swapped)
    with pytest.raises(ForeignFileError):
        read_found(path)
