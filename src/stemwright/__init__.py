"""Stemwright takes a song apart."""

__version__ = "0.1.0"
