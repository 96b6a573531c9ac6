"""Nets: plain `nn.Module`s that map images (N, C, H, W) to logits (N, num_classes)."""
