"""Pictures and model files by key, behind one protocol."""
