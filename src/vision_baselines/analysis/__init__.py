"""Pure functions: numbers and arrays in, numbers and arrays out."""
