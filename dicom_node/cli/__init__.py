"""The command line: arguments and help; nothing heavy is imported here."""
