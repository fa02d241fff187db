"""Strategies: trees of separators, read from YAML, checked, drawn, and made into plans for the engine."""
