"""Search for settings on Optuna: trials are chosen by a sampler, and those that cannot win are stopped."""
