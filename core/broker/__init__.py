"""The durable log between the roles, behind one protocol."""
