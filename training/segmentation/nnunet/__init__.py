"""Training in nnU-Net v2's loop, from cohort to weights."""
