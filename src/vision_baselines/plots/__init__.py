"""Data in, a Matplotlib figure out; one look for all."""
