"""The `flawline` command: builds the parts, runs them, prints."""
