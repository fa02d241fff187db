"""Durable jobs: the workflow on DBOS, the engine process, callbacks, retention."""
