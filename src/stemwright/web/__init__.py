"""The native HTTP API: routes, push, errors as responses."""
