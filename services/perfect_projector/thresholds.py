"""When to warn, as the settings say."""

from perfect_bus.settings import Settings
from perfect_projector.outlier import Thresholds


def thresholds_of(settings: Settings) -> Thresholds:
    return Thresholds(
        min_samples=settings.warn_min_samples,
        min_delta_ms=settings.warn_min_delta_ms,
        z_warning=settings.warn_sigma,
        z_critical=settings.warn_sigma_critical,
        practical_delta_ms=settings.warn_delta_ms,
        practical_ratio=settings.warn_ratio,
        absolute_warning=settings.warn_times,
        absolute_critical=settings.warn_times_critical,
        running_ms=settings.warn_running_ms,
    )
