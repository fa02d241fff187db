"""The engine process: separates in a child that stays warm and can be killed at any moment."""
