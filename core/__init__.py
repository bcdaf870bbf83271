"""What all roles agree on: messages, verdicts, recipes, settings, books, blobs and the log."""
