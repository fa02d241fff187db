"""The folder of a job: its stems as files that a program on this machine may load, a zip of them, and what they are."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import stat
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stemwright.disk import is_mine, is_regular, make_as_open_as, read_json, remove_mine, sync
from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.records import Record
from stemwright.studio import files, tracks
from stemwright.studio.pool import run_in_pool

if TYPE_CHECKING:
    from stemwright.doors.mismo.config import Config
    from stemwright.engine.receipt import Receipt
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio

_MARK: Final = "stemwright"
_MAKING: Final = ".stemwright-"
_LARGEST: Final = 1 << 20  # bytes of a stems.json that is read
_STALE: Final = 3600.0  # seconds after which a folder in the making is nobody's


class MadeFolder(Record):
    """What `stems.json` of a folder says."""

    made_by: Literal["stemwright"]  # only what bears it is ever deleted
    job_id: str
    separation: str
    format: str
    model: str
    draft: bool
    sample_rate: int
    duration: float
    gain_db: float
    stems: dict[str, str]
    zip: str


async def make(studio: Studio, config: Config, name: str, snapshot: JobSnapshot, *, owner: str) -> MadeFolder:
    """See to it that the folder `name` holds the stems of a job; what there is, as `stems.json` says it.

    The files share their bytes with the studio's own where both are on one disk, and can only be read. Raises
    `JobNotFoundError` when the stems are gone, `ConflictError` when a folder of another origin has that name, and what
    encoding raises; OSError.
    """
    result, song_id = snapshot.result, snapshot.song_id
    if result is None or song_id is None:
        raise JobNotFoundError("the stems are no longer here")
    there = await asyncio.to_thread(read, config, name)
    if there and (there.separation, there.format) == (result.separation, config.stem_format):
        return there
    config.jobs_dir.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=config.jobs_dir))
    try:
        (making / "stems").mkdir()
        for stem in sorted(result.stems):
            made = await files.stem_file(
                studio, song_id, stem, config.stem_format, owner=owner, separation=result.separation
            )
            await run_in_pool(_put, studio, made.object_key, making / "stems" / f"{stem}.wav")
        receipt = await asyncio.to_thread(files.receipt, studio, song_id, owner=owner, separation=result.separation)
        return await run_in_pool(_publish, config, making, name, result.separation, receipt)
    finally:
        await run_in_pool(shutil.rmtree, making, ignore_errors=True)


def _put(studio: Studio, key: str, path: Path) -> None:
    studio.store.fetch(key, path)
    sync(path)
    path.chmod(0o400)  # it may be the studio's own file under a second name


def _publish(config: Config, making: Path, name: str, separation: str, receipt: Receipt) -> MadeFolder:
    """Write the zip and `stems.json`, and give the folder its name; what was there under it goes."""
    folder = config.jobs_dir / name
    stems = sorted((making / "stems").iterdir())
    with zipfile.ZipFile(making / "stems.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in stems:
            archive.write(path, path.name)
    facts = MadeFolder(
        made_by=_MARK,
        job_id=name,
        separation=separation,
        format=config.stem_format,
        model=receipt.model.name,
        draft=receipt.model.draft,
        sample_rate=receipt.input.sample_rate,
        duration=receipt.input.duration,
        gain_db=receipt.gain_db,
        stems={path.stem: str(folder / "stems" / path.name) for path in stems},
        zip=str(folder / "stems.zip"),
    )
    (making / "stems.json").write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    make_as_open_as(making, config.jobs_dir)  # the audio engine may run as another user
    for path in (making / "stems.zip", making / "stems.json", making / "stems", making):
        sync(path)
    if folder.exists() and _facts(folder) is None:
        raise ConflictError(f"a folder {name} that is not ours is in the way")
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=_MAKING, dir=config.jobs_dir))
        folder.rename(old / name)
        making.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        making.rename(folder)
    return facts


def read(config: Config, name: str) -> MadeFolder | None:
    """What `stems.json` of a folder says, if the folder is ours and whole."""
    folder = config.jobs_dir / name
    facts = _facts(folder)
    if facts is None:
        return None
    return facts if all(is_regular(Path(path)) for path in (*facts.stems.values(), facts.zip)) else None


def _facts(folder: Path) -> MadeFolder | None:
    """What `stems.json` of a folder says, if we wrote it: the folder is ours, and nobody else can write there."""
    try:
        if not (stat.S_ISDIR(folder.lstat().st_mode) and is_mine(folder.stat())):
            return None
        if not is_regular(folder / "stems.json"):  # a link is not ours
            return None
        facts = MadeFolder.model_validate(read_json(folder / "stems.json", most=_LARGEST))
    except (OSError, ValueError):
        return None
    stems = {stem: str(folder / "stems" / f"{stem}.wav") for stem in facts.stems if Path(stem).name == stem}
    ours = facts.job_id == folder.name and facts.stems == stems and facts.zip == str(folder / "stems.zip")
    return facts if ours else None


def sweep(studio: Studio, config: Config, *, owner: str) -> int:
    """Delete the folders whose stems have expired, and what was left half-made; how many."""
    try:
        folders = [path for path in config.jobs_dir.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return 0
    stale = time.time() - _STALE
    gone = []
    for path in folders:
        with contextlib.suppress(FileNotFoundError):
            if path.name.startswith(_MAKING) and path.lstat().st_mtime < stale:
                gone.append(path)
    of = {path: facts.separation for path in folders if (facts := _facts(path))}
    there = tracks.separations_of(studio, {*of.values()}, owner=owner)
    gone += [path for path, separation in of.items() if separation not in there]
    return sum(map(remove_mine, gone))
