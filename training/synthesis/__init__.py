"""Synthetic slices of expanding hematomas: diffusion, its quality, and what readers say."""
