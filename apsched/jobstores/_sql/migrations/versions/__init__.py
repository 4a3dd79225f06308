"""One module a revision of the tables, called after it."""
