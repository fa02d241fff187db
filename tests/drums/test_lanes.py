from __future__ import annotations

from stemwright.drums.lanes import LANES, lane_of, note_of


def test_lanes_and_notes_are_those_of_the_game() -> None:
    assert [lane.number for lane in LANES] == list(range(8))
    assert [lane.type for lane in LANES] == [
        *("kick", "snare", "hi_hat", "high_tom", "mid_tom", "floor_tom", "crash", "ride"),
    ]
    assert [set(lane.notes) for lane in LANES] == [
        *({36}, {38, 40}, {42, 44, 46}, {48, 50}, {45, 47}, {41, 43}, {49, 52, 55, 57}, {51, 53, 59}),
    ]


def test_every_note_that_is_written_is_on_its_lane() -> None:
    assert all(lane_of(note_of(lane.number)) == lane.number for lane in LANES)
    assert (lane_of(note_of(2, "open")), lane_of(note_of(7, "bell"))) == (2, 7)
    assert lane_of(39) is None
