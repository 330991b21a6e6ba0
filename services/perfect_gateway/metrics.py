"""Prometheus' text exposition format, written by hand: a few dozen numbers need no library."""

from collections.abc import Iterable, Mapping

from perfect_schemas.commands import Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(services: Iterable[Health], requests: Mapping[tuple[str, int], int], streams: int) -> str:
    """Pure."""
    lines = [
        *_family("perfect_http_responses_total", "counter", "Responses begun, by method and status"),
        *(
            f'perfect_http_responses_total{{method="{method}",status="{status}"}} {count}'
            for (method, status), count in sorted(requests.items())
        ),
        *_family("perfect_streams", "gauge", "Open live streams"),
        f"perfect_streams {streams}",
    ]
    services = list(services)
    for name, help_text, value in (
        ("perfect_service_ready", "1 when the service is ready", lambda h: int(h.status == "ready")),
        ("perfect_service_lag", "Messages still to be read from the bus", lambda h: h.lag),
        ("perfect_service_lag_seconds", "Age of the oldest of them", lambda h: h.lag_ms / 1000),
    ):
        lines += _family(name, "gauge", help_text)
        lines += [f'{name}{{service="{_escaped(health.name)}"}} {value(health)}' for health in services]
    own = [(health.name, key, value) for health in services for key, value in health.metrics.items()]
    if own:
        lines += _family("perfect_service_metric", "untyped", "What a service says of itself")
        lines += [
            f'perfect_service_metric{{service="{_escaped(name)}",name="{_escaped(key)}"}} {value}'
            for name, key, value in own
        ]
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, help_text: str) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
