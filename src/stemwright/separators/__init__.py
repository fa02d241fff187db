"""Models that take a mix apart, one file a family, behind one protocol."""
