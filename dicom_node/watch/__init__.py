"""The node measures itself: predictions against outcomes, and scans against those it knows."""
