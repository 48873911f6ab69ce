"""Simulated head CT with ground truth: anatomy, hematoma, distractors and scanner."""
