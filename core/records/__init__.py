"""The books: what each role reads from and writes to the database, one file per concern."""
