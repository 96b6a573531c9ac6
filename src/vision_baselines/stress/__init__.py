"""Kills runs at random moments, resumes them, and holds them against the run that nothing happened to."""
