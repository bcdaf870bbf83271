"""Pass two fault points again and again: pass_points FAULT PASSES."""

import sys

from core import faults

faults.arm(sys.argv[1])
for _ in range(int(sys.argv[2])):
    faults.reach("inspect_after_poll")
    faults.reach("inspect_after_commit")
