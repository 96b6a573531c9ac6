"""What is done with finished runs: evaluate, reproduce, compare with published results."""
