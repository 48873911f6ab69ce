"""The settings of a site: what its file may say, read with the environment, and checked."""
