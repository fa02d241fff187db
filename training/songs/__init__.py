"""Songs composed by rule and rendered as true stems: `python -m training.songs --corpus /tmp/corpus`."""
