"""Jobs of any Hydra application, each in a process of its own: pool, process, console; nothing here knows of runs."""
