"""Whether a model can be run as it is asked for on this machine: found out before training, not after it."""

import importlib.util

from model.runtimes import RuntimeChoice, chosen_runtime


def require_precision(choice: RuntimeChoice) -> None:
    """Raise RuntimeUnavailable for a precision that the chosen runtime lacks here."""
    if choice.precision == "f32" or chosen_runtime(choice) == "torch" or importlib.util.find_spec("openvino") is None:
        return  # PyTorch computes in each of them
    from model.openvino_graph import require_offered  # not needed beside a GPU

    require_offered(choice.precision)
