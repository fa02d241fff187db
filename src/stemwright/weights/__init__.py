"""Weights from their publishers: downloaded once, checked, kept in a cache folder."""
