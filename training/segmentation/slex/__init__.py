"""Training of SLEX-Net by its own recipe, on triplets of slices."""
