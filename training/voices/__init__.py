"""Vocals for training: real singing, variants of it, and synthetic singers. `python -m training.voices --help`."""
