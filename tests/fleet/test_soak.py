"""Jobs while process after process is killed; `SOAK=500` takes that many, and a kill each twenty seconds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fleet.soak import KINDS, Plan, Soak
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from pathlib import Path

    from fleet.fleet import Fleet

pytestmark = pytest.mark.slow
LONG = int(os.environ.get("SOAK", "0"))
PLAN = Plan(jobs=LONG, every=1.2, kills=20.0) if LONG else Plan(jobs=16, every=1.0, kills=3.0)


def test_no_job_is_lost_or_done_twice_while_processes_are_killed(fleet: Fleet, tmp_path: Path) -> None:
    receiver = Receiver()
    with listening(receiver):
        soak = Soak(fleet, receiver, PLAN, tmp_path)
        found = soak.run()
        soak.check()
    assert {*found.kills} == {*KINDS}
    before, after = found.connections
    assert after <= before + 6  # pools keep four each, and fill up as they are needed
    assert found.growth < 40e6
    assert max(found.peak(kind) for kind in KINDS) < 400e6
