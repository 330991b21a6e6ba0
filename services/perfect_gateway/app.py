"""The ASGI application: Litestar for routing and errors, and around it our own layers: `Outermost`, and `Short` for triggers.

Every middleware costs more than the server itself, so there is none: what must hold everywhere is in `Outermost`.
"""

from litestar import Litestar
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

import perfect_ui
from perfect_gateway import openapi, problems, static
from perfect_gateway.api import (
    artifacts,
    charts,
    clients,
    deployments,
    diff,
    events,
    executions,
    flows,
    health,
    integrity,
    limits,
    log_download,
    logs,
    moments,
    report,
    runs,
    schedules,
    secrets,
    sql,
    statistics,
    steering,
    timeline,
    variables,
    versions,
)
from perfect_gateway.outermost import LOOPBACK_NAMES, Outermost
from perfect_gateway.pages import clients as client_pages
from perfect_gateway.pages import concurrency, home, library, run_list, schedule_editing, stream
from perfect_gateway.pages import diff as diff_pages
from perfect_gateway.pages import flows as flow_pages
from perfect_gateway.pages import integrity as integrity_pages
from perfect_gateway.pages import runs as run_pages
from perfect_gateway.pages import schedules as schedule_pages
from perfect_gateway.pages import settings as settings_pages
from perfect_gateway.pages import sql as sql_pages
from perfect_gateway.pages import statistics as statistics_pages
from perfect_gateway.pages import steering as steering_pages
from perfect_gateway.pages.page import error_page
from perfect_gateway.parts import Parts
from perfect_gateway.short import Short
from perfect_schemas.streams import MAX_PAYLOAD_BYTES

MOST_BODY_BYTES = (
    MAX_PAYLOAD_BYTES - 64 * 1024
)  # what a body says must fit into one message, with its envelope


class _Lean(Litestar):
    """Takes msgspec's plugin alone: by itself litestar imports pydantic and attrs wherever they are installed, 10 MB."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(parts: Parts, *, host: str = "127.0.0.1") -> Outermost:
    api = [
        handler
        for module in (
            flows,
            versions,
            runs,
            timeline,
            moments,
            steering,
            limits,
            log_download,
            logs,
            report,
            diff,
            statistics,
            charts,
            integrity,
            sql,
            events,
            clients,
            executions,
            artifacts,
            variables,
            secrets,
            schedules,
            deployments,
            health,
        )
        for handler in module.routes(parts)
    ]
    pages = [
        handler
        for module in (
            home,
            run_list,
            run_pages,
            steering_pages,
            diff_pages,
            library,
            flow_pages,
            schedule_pages,
            schedule_editing,
            statistics_pages,
            sql_pages,
            integrity_pages,
            client_pages,
            concurrency,
            settings_pages,
            stream,
        )
        for handler in module.routes(parts)
    ]
    app = _Lean(
        [*api, *pages, *openapi.routes(api, parts.version), *static.routes(perfect_ui.STATIC_DIR)],
        exception_handlers={Exception: problems.handler(error_page)},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MOST_BODY_BYTES,
    )
    names = {*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host}
    return Outermost(Short(app, parts), names=names, most_bytes=MOST_BODY_BYTES)
