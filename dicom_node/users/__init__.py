"""Who may use the node by browser or program: accounts, log-in, sessions, tokens."""
