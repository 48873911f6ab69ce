"""The reader study: coded sheets, a local form, and the table of what readers said."""
