"""Speed, side by side with other ways to train the same nets."""
