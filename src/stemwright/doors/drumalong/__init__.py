"""The door of Drumalong, a drum game: songs in, drum stem and chart on eight lanes out. PROTOCOL.md is the contract."""
