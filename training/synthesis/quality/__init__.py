"""How good synthetic slices are: distances, copies, and how easily they are told apart."""
