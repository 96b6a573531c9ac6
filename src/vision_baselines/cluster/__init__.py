"""Jobs that a cluster's scheduler runs: submitted, followed and found again; nothing here knows of runs."""
