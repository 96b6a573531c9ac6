"""How fast a run is beside the loop a person writes, the way a template does it, and what the kernels alone allow."""
