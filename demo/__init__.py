"""Our own demo song: composed, sung, played and encoded by the modules of this folder."""
