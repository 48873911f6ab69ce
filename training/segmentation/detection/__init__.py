"""How well models find the slices that radiologists say show hematoma."""
