"""`python -m cli` is `flawline`."""

from cli.main import main

main()
