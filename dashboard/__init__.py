"""The pages that people meet."""
