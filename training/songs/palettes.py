"""The sounds that styles choose from, `engine:name` each; a sound named twice is chosen twice as often."""

from __future__ import annotations


def _sounds(names: str) -> tuple[str, ...]:
    return tuple(names.split())


ACOUSTIC = _sounds("muldjord font font muldjord audiophob")
MACHINE = _sounds("synth synth rumpf sonic sonic audiophob font-machine synth rumpf")
E_BASS = _sounds("font:33 font:34 font:33 sampled:bass-yr sampled:bass-growly font:36 font:35")
S_BASS = _sounds(
    "poly:bass mono:saw mono:square font:38 font:39 poly:reese mono:sub poly:fmbass poly:bass mono:sub "
    "sampled:sonic-hard sampled:sonic-thick sampled:sonic-trance sampled:sonic-woodsy sampled:sonic-dnb"
)
UP_BASS = _sounds("font:32 sampled:bass-meat font:35")
PADS = _sounds("poly:pad poly:pad font:48 font:89 font:90 font:94 font:95 font:50 poly:strings")
KEYS = _sounds("font:0 font:1 font:4 font:5 font:2 poly:fmkeys")
STABS = _sounds("poly:supersaw poly:stab font:81 font:62 poly:organ poly:pluck poly:fmkeys")
PLUCKS = _sounds(
    "poly:pluck poly:square poly:saw font:11 font:12 poly:fmbell font:46 poly:pulse font:108 poly:pluck "
    "poly:saw sampled:tones sampled:tones"
)
SYNTH_LEADS = _sounds("mono:lead mono:lead font:80 font:81 font:84 poly:supersaw mono:square poly:pulse font:87")
DRIVE = _sounds("guitar:29 guitar:30 guitar:27 guitar:27 font:29 font:30")
CLEAN = _sounds("font:27 font:26 font:25 font:24 font:28")
STRINGS = _sounds("font:48 font:49 font:44 font:45 font:51 font:40 font:42")
BRASS = _sounds("font:61 font:56 font:62 font:63 font:57 font:65 font:66")
LEADS = _sounds("font:65 font:73 font:56 font:29 guitar:29 font:0 font:22 font:40 font:66 font:71")
FX = _sounds("fx:riser fx:riser fx:sweep fx:impact")
