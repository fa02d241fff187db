"""Drum audio to onsets, to eight lanes, to a chart and MIDI: each stage can be used alone."""
