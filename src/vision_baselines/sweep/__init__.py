"""Many runs as one: what is done is skipped, what is there is compared."""
