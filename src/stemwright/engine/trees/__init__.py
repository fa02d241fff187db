"""Strategies carried out: each sound a file of samples, each model run once, what was made before taken from disk."""
