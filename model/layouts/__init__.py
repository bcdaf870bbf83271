"""How data sets lie on a disk: a file for each family of layouts; `model.datasets` has the table of them."""
