"""The demo storefront, served by `mpanel-billing dev` only."""

from aiohttp import web

routes = web.RouteTableDef()
