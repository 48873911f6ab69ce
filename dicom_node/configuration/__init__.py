"""The settings file, as it is read, changed, kept in history and put into force."""
