"""A config before anything is built from it: composed, checked, restored."""
