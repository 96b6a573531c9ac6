"""Files that are whole or not there: atomic writes, locks, checked checkpoints."""
