"""The door of the Demucs web server: upload, progress by Socket.IO, zip. PROTOCOL.md is the contract."""
