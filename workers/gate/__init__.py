"""The gate: rejects each part unless a PASS for that very part comes before its deadline."""
