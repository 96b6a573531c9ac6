"""Reads what runs left behind and says, honestly, how they compare. Needs neither torch nor a checkpoint."""
