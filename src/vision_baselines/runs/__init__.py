"""What a run leaves behind: its record, its identity and its surroundings."""
