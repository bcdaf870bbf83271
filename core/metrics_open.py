"""The figures that the settings ask for."""

from collections.abc import Iterable

from core.metrics import Metrics
from core.settings import MetricsSettings


def open_metrics(settings: MetricsSettings, *, role: str, name: str = "", cameras: Iterable[str] = ()) -> Metrics:
    """Hooks that keep figures where `metrics.port` serves them, else those that do nothing.

    role: such as inspection; name: of this process among those of its role; cameras: those of the line.
    """
    if not settings.port:
        return Metrics()
    from core.prometheus import PrometheusMetrics  # only where it is used

    return PrometheusMetrics(role=role, name=name, cameras=cameras)
