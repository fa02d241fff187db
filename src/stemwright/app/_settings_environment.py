"""Settings from environment variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stemwright.app._settings_leaves import PREFIX, Leaf, Reading, suggestion
from stemwright.setting_values import Alias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

CONFIG: Final = "STEMWRIGHT_CONFIG"  # the path of the file
_OTHERS: Final = {CONFIG, "STEMWRIGHT_STOP_AT"}  # are no settings; the second is a hook of our tests (process.py)
# Kubernetes tells every container about a service that is named stemwright, STEMWRIGHT_PORT=tcp://… among them.
_SERVICE_NAME = re.compile(r".*(_SERVICE_(HOST|PORT)(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_VALUE = re.compile(r"(tcp|udp|sctp)://.*")
_NUMBER = re.compile(r"[0-9.]+")


def read_environment(environ: Mapping[str, str], *, leaves: Sequence[Leaf], ignored: Collection[str]) -> Reading:
    """What variables say. An empty one counts as not set; our own name goes before an alias.

    Variables of the groups in `ignored` are not looked at.
    """
    reading = Reading()
    ours = {
        name: value
        for name, value in environ.items()
        if value and not (_SERVICE_NAME.fullmatch(name) or _SERVICE_VALUE.fullmatch(value))
    }
    for leaf in leaves:
        for alias in (Alias(leaf.variable), *leaf.aliases):
            if value := ours.get(alias.name):
                reading.values[leaf.name] = alias.form.format(value) + (alias.unit if _NUMBER.fullmatch(value) else "")
                reading.origins[leaf.name] = alias.name
                break
    beginnings = tuple(f"{PREFIX}{group.upper()}_" for group in ignored)
    known = [leaf.variable.removeprefix(PREFIX) for leaf in leaves]
    for name in sorted(ours):
        rest = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and rest not in known and name not in _OTHERS and not name.startswith(beginnings):
            hint = suggestion(rest, known, tail=f"_{rest}", prefix=PREFIX)
            reading.faults.append(f"{name}: there is no such setting{hint}")
    return reading
