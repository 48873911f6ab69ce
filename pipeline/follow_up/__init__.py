"""Two scans of one patient: brought together, measured alike, and what changed between them."""
