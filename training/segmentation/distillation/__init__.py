"""Learning from what other networks see in scans that nobody has drawn."""
