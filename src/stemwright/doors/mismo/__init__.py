"""The door of Mismo DJ: its analysis server, and the app server that speaks to its audio engine."""
