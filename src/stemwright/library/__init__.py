"""The library: tables, queries and migrations of songs, separations and jobs; SQLite or PostgreSQL."""
