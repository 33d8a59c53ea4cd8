"""`mpanel-billing serve`: the web process."""

from mpanel_billing.http.app import create_app
from mpanel_billing.http.server import serve as serve_app
from mpanel_billing.provisioning.drivers.registry import check_services
from mpanel_billing.settings import load_settings
from mpanel_billing.telemetry.logs import configure_logging
from mpanel_billing.telemetry.tracing import tracing


def serve() -> None:
    """Serve the HTTP API on HOST and PORT until SIGINT or SIGTERM."""
    settings = load_settings()
    check_services(settings)
    configure_logging(settings)
    with tracing(settings, "web"):
        serve_app(lambda: create_app(settings), settings.host, settings.port)
