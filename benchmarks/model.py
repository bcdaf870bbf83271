"""How fast this machine runs the network, every way it can: the tables of `flawline bench model`.

.venv/bin/python benchmarks/model.py                                      the default network
.venv/bin/python benchmarks/model.py --model FILE --data DIR --json FILE  a model, with what each precision costs
"""

import sys
from pathlib import Path

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cli.bench_commands import network

if __name__ == "__main__":
    typer.run(network)
