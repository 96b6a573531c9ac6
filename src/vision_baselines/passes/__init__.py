"""Many seeds in one pass: copies of one net that differ in their seed, trained as one batched computation."""
