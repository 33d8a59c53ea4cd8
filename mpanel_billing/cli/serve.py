"""`mpanel-billing serve`: a web process."""

from mpanel_billing.cli.starting import start
from mpanel_billing.http.app import create_app
from mpanel_billing.http.server import serve as serve_app
from mpanel_billing.telemetry.tracing import tracing


def serve() -> None:
    """Serve the HTTP API on HOST and PORT until SIGINT or SIGTERM."""
    settings = start()
    with tracing(settings, "web"):
        serve_app(lambda: create_app(settings), settings.host, settings.port)
