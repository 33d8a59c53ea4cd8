"""`mpanel-billing serve`: a web process."""

from aiohttp import web

from mpanel_billing.cli.starting import start
from mpanel_billing.http.app import create_app
from mpanel_billing.http.server import serve as serve_app
from mpanel_billing.settings import Settings
from mpanel_billing.telemetry.tracing import tracing


def serve() -> None:
    """Serve the HTTP API on HOST and PORT until SIGINT or SIGTERM."""
    settings = start()
    with tracing(settings, "web"):
        serve_app(lambda: _make_app(settings), settings.host, settings.port)


def _make_app(settings: Settings) -> web.Application:
    """Build the application; only with CONSOLE=on the console is loaded, and takes memory."""
    app = create_app(settings)
    if settings.console == "on":
        from mpanel_billing.console.app import add_console  # noqa: PLC0415 - as said above

        add_console(app)
    return app
