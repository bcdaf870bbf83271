"""The camera side: sources, image gate, encoder, capture."""
