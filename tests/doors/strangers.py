"""Doors of third parties, installed as their packages would be; the jukebox is the one that docs/doors.md shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs" / "doors.md"
SETTINGS: Final = "from stemwright.setting_values import Group\n\nclass Settings(Group):\n    pass\n"
DOOR: Final = (
    "from stemwright.doors.door import Door\n"
    "from stemwright.web.common import new_app\n\n"
    "def create(state, settings, home):\n    return Door(app=new_app())\n"
)


def install(site: Path, name: str, package: str, **modules: str) -> Path:
    """Put a package into a folder for `sys.path`, and register it as the door `name`; the modules by their names."""
    folder, facts = site / package, site / f"{package}-1.dist-info"
    for place in (folder, facts):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(f"[stemwright.doors]\n{name} = {package}\n")
    return site


def install_jukebox(site: Path) -> Path:
    """The door of the documentation, word for word."""
    text = DOCS.read_text(encoding="utf-8")
    settings, door, command = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [registered] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert registered == '[project.entry-points."stemwright.doors"]\njukebox = "jukebox_door"\n'
    return install(site, "jukebox", "jukebox_door", settings=settings, door=door, command=command)
