"""The selective scan of Mamba: one function, several backends that agree."""
