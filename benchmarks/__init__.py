"""How fast Stemwright is and how much memory it takes, beside the `demucs` command: `python -m benchmarks.run`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"

sys.path.append(str(HERE.parent / "tests"))  # models with random weights, sounds, and what a process costs
