"""The RD-E engine: a plain torch library that knows no camera, queue or database."""
