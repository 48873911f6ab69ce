"""The published BLAST-CT networks in the node: exact and fast on a processor, and as a bundle."""
