"""Who is told when something is wrong: what stands, who knows it, how it is sent."""
