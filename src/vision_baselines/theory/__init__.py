"""The commands that show the theory at work: a net's layers, a chain's arithmetic, an edge kernel's responses."""
