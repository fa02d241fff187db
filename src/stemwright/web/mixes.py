"""The route of mixes, and their settings as a query has them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from stemwright.engine.channel_strip import BAND_DB, ChannelStrip
from stemwright.studio import mixes
from stemwright.web.bodies import while_there
from stemwright.web.common import Id, Owner, Separation, TheStudio, problems
from stemwright.web.problems import FieldProblem, InvalidFieldsError
from stemwright.web.ranges import Passing, disposition
from stemwright.web.songs import AUDIO, BINARY, Token

router = APIRouter(prefix="/api/v1/songs", tags=["songs"])
_OPTIONS: Final = {"separation", "start", "end"}
_GAIN_DB: Final = (-100.0, 24.0)
_WRONG: Final = {
    "gain_db": "give dB from -100 to 24, or `mute`",
    "pan": "give a number from -1 (left) to 1 (right)",
    "eq": "give three bands in dB from -24 to 12, as in `3,0,-2.5`",
}
_SETTINGS: Final = {
    "parameters": [
        {
            "name": "stems",
            "in": "query",
            "style": "form",
            "explode": True,
            "description": "By the names of stems: gains in dB from -100 to 24, or `mute` (`vocals=-6&drums=mute`); "
            "`pan.NAME`, a balance from -1 (left) to 1 (right); `eq.NAME`, dB from -24 to 12 for the band below "
            "250 Hz, that around 1 kHz and that above 4 kHz (`eq.bass=3,0,-2.5`).",
            "schema": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "examples": [{"vocals": "-6", "pan.vocals": "-0.3", "eq.vocals": "0,2,1.5"}],
            },
        }
    ]
}


@router.get(
    "/{song_id}/mix.{token}",
    response_class=Response,
    responses={
        **problems(404, 409, 503, 504, 507),
        200: {"description": "The mix.", "content": dict.fromkeys(AUDIO, BINARY)},
    },
    openapi_extra=_SETTINGS,
)
async def get_mix(
    request: Request,
    song_id: Id,
    token: Token,
    studio: TheStudio,
    owner: Owner,
    start: Annotated[float | None, Query(ge=0, le=1e6, description="Seconds.")] = None,
    end: Annotated[float | None, Query(ge=0, le=1e6, description="Seconds.")] = None,
    separation: Separation = None,
) -> Response:
    """The stems mixed again: `?vocals=-6&pan.vocals=-0.3&eq.vocals=0,2,1.5&drums=mute`, as the player sounds.

    Should the mix clip, all of it is turned down; the header `Stemwright-Gain-dB` says by how much.
    """
    made = mixes.mixdown(
        studio, song_id, token, strips=_strips(request), start=start, end=end, owner=owner, separation=separation
    )
    mixed = await while_there(request, made)
    headers = {
        "Stemwright-Gain-dB": f"{mixed.gain_db:.2f}",
        "Content-Disposition": disposition(mixed.file_name),
    }
    return Passing(mixed.path, media_type=mixed.media_type, headers=headers, remove=mixed.remove)


def _strips(request: Request) -> dict[str, ChannelStrip]:
    """The settings in a query. Raises `InvalidFieldsError`."""
    given = [(name, text) for name, text in request.query_params.multi_items() if name not in _OPTIONS]
    counts = Counter(name for name, _ in given)
    wrong = [FieldProblem(field=f"query.{name}", message="is given twice") for name in counts if counts[name] > 1]
    strips: dict[str, ChannelStrip] = {}
    for name, text in given:
        what, dot, stem = name.partition(".")
        setting, stem = (what, stem) if dot and what in {"pan", "eq"} else ("gain_db", name)
        try:
            strips[stem] = _with(strips.get(stem, ChannelStrip()), setting, text)
        except ValueError:
            wrong.append(FieldProblem(field=f"query.{name}", message=_WRONG[setting]))
    if wrong:
        raise InvalidFieldsError(wrong)
    return strips


def _with(strip: ChannelStrip, setting: str, text: str) -> ChannelStrip:
    """A strip with one setting as it is typed. Raises ValueError."""
    if setting == "gain_db":
        gain = None if text.lower() in {"mute", "-inf"} else _within(_GAIN_DB, float(text))
        return replace(strip, gain_db=gain)
    if setting == "pan":
        return replace(strip, pan=_within((-1.0, 1.0), float(text)))
    low, mid, high = (_within(BAND_DB, float(band)) for band in text.split(","))
    return replace(strip, eq=(low, mid, high))


def _within(bounds: tuple[float, float], value: float) -> float:
    if not (math.isfinite(value) and bounds[0] <= value <= bounds[1]):
        raise ValueError(value)
    return value
