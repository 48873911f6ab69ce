"""What leaves the site for research: pairs of scans with masks, and nobody to be read there."""
