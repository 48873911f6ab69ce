"""Refit of the last layers of a published network: the pathways stay, what is made of them not."""
