"""What can go wrong in here, by what the caller has to do about it.

ModelError
├── WeightsMissing      weights were not found, cannot be read, or do not fit   -> provide them, then start again
├── ModelFileInvalid    missing, truncated, corrupt or not one of ours          -> keep the model in use; never PASS
└── RuntimeUnavailable  the runtime or device asked for is not on this machine  -> choose another one
"""


class ModelError(Exception):
    """The root of everything that this package raises on purpose."""


class WeightsMissing(ModelError):
    """ImageNet weights of a backbone, or a checkpoint of the authors' code, were not found, or do not fit."""


class ModelFileInvalid(ModelError):
    """A model file is missing, truncated, corrupt, of another format, or not one of ours."""


class RuntimeUnavailable(ModelError):
    """The asked runtime, device or precision cannot be had on this machine."""
