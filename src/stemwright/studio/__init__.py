"""The use cases: submit, cancel, look up, export, import, delete; the one place with the rules."""
