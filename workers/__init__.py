"""The roles that consume the log: inspection, bookkeeping, housekeeping."""
