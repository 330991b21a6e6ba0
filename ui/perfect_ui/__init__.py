"""The pages of Perfect: REST shapes in, HTML out. No I/O but reading its own files.

`render` makes a page or a fragment, `compiled` does early what that does first, `frame` and `signal` wrap fragments for
the live stream, `form_parameters` decodes the trigger form. The contexts of all templates and the protocol of the stream are in `ui/README.md`.
"""

from perfect_ui.assets import STATIC_DIR, AssetsMissing, asset_url, asset_version
from perfect_ui.forms import form_parameters, form_values, input_form
from perfect_ui.rendering import compiled, render
from perfect_ui.report import report, report_policy
from perfect_ui.stream import frame, signal

__all__ = [
    "STATIC_DIR",
    "AssetsMissing",
    "asset_url",
    "asset_version",
    "compiled",
    "form_parameters",
    "form_values",
    "frame",
    "input_form",
    "render",
    "report",
    "report_policy",
    "signal",
]
