"""What the application carries for its routes."""

import asyncpg
from aiohttp import web

from mpanel_billing.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
POOL = web.AppKey("pool", asyncpg.Pool)
