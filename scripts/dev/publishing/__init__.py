"""Published experiments: run, kept, and written up from what was kept."""
