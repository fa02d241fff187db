"""The queue and its workers: runs, callbacks, retention."""
