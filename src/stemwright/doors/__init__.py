"""Doors: what the clients of other systems speak, over the studio. One package a door; none imports another."""
