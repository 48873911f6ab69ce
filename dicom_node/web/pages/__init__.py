"""One module a page: what people read, what programs get of the same, what forms do."""
