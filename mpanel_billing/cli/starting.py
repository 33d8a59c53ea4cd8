"""What `serve` and `worker` do first.

They are modules of their own, so that neither process loads, and keeps in memory, what only the
other one uses.
"""

import logging

from mpanel_billing.provisioning.drivers.registry import check_services
from mpanel_billing.settings import Settings, load_settings
from mpanel_billing.telemetry.logs import configure_logging

logger = logging.getLogger(__name__)


def start() -> Settings:
    """Read and check the settings, and configure the logs; SettingsError if one is wrong."""
    settings = load_settings()
    check_services(settings)
    configure_logging(settings)
    if ignored := settings.ignored_url_parameters:
        logger.info("ignored what DATABASE_URL tells Prisma: %s", ", ".join(ignored))
    return settings
