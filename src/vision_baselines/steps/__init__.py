"""Training steps, as many at a time as nobody looks at: Lightning's loop takes one, with all its hooks around it."""
