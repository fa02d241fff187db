"""What a song is like: its tempo and its key."""
