"""What a net is before it is trained: layers, sizes, receptive fields, as tables and pictures."""
