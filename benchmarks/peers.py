"""How ours does beside anomalib's PaDiM, PatchCore and STFPM: the table of `flawline bench peers`.

.venv/bin/python benchmarks/peers.py --data DIR --json FILE                       with anomalib in this environment
.venv/bin/python benchmarks/peers.py --data DIR --peers-python PYTHON --json FILE  with anomalib in one of its own
"""

import sys
from pathlib import Path

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cli.bench_commands import peers

if __name__ == "__main__":
    typer.run(peers)
