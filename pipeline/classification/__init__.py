"""From a slice triplet to the probability of hematoma expansion."""
