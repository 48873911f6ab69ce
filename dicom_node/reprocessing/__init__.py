"""Re-reads of archives: one study after the other, below everything that somebody waits for."""
