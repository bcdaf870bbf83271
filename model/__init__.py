"""The RD-E engine: a plain torch library that knows no camera, queue or database."""

import sys

# Importing OpenVINO tells a server so, from a process of its own that a look at our sockets misses, and NNCF does the
# like; a factory's machine must not call out. Both keep silent where this package cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
