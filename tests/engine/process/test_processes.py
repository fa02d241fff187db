"""What an engine process leaves to the API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os
from stemwright.engine.process.processes import step_back
step_back()
print(os.nice(0))
try:
    print(open("/proc/self/autogroup").read())
except FileNotFoundError:
    pass
"""


@pytest.mark.parametrize("leads", [True, False])
def test_an_engine_is_nice_and_so_is_its_session_where_it_leads_one(leads: bool) -> None:
    group = Path("/proc/self/autogroup")
    ours = group.read_text(encoding="ascii").split() if group.exists() else []  # empty where the session has no group
    command = [sys.executable, "-P", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=leads)
    nice, *of_session = done.stdout.split()
    assert int(nice) >= 10
    if not leads:
        assert of_session == ours
    elif group.exists():
        assert of_session[-1] == "10"
