"""The key of a result: what equal keys made is the same to the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.engine.receipt import PIPELINE
from stemwright.separators.protocol import is_half
from stemwright.strategies.plan import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stemwright.types import Digest


def result_key(
    song: Digest, model: Sequence[object], settings: Mapping[str, object], *, device: str, **more: object
) -> Digest:
    """Everything that can change a sample of the stems, in one digest.

    `model` names the model or the tree, and its weights by their digests; `device` is as it was asked for; `more` is
    what else the caller wants to be equal, such as tags and names of files. All of it must be JSON.
    """
    named = {"pipeline": PIPELINE, "input": song, "model": [*model, is_half(device)], "settings": {**settings}}
    return digest_of(named | more)
