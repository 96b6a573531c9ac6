"""Where tensors come from, how they are cut into splits and how they reach the device in batches."""
