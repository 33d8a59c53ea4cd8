"""Adds the console to the application."""

import logging
from http import HTTPStatus

import asyncpg
from aiohttp import web

from mpanel_billing.console.examining import EXAMINER, Examiner
from mpanel_billing.console.pages import RENDER, Pages, with_retry_after
from mpanel_billing.console.render import error_page, prepare
from mpanel_billing.console.returning import ask_to_sign_in
from mpanel_billing.console.routes import (
    access_data,
    after_end,
    agreements,
    audit,
    catalogue,
    charges,
    coupons,
    csv_files,
    customers,
    deleted,
    disputes,
    domains,
    endings,
    figures,
    figures_by_part,
    files,
    find,
    invoice_acts,
    keys,
    merges,
    money,
    moves,
    new_invoices,
    offers,
    outside_prices,
    owned_domains,
    pauses,
    plans,
    reconcile,
    replaced_domains,
    replays,
    servers,
    set_up,
    sign_in,
    stories,
    subscriptions,
    unsticking,
    usage,
    whole_lists,
    work,
)
from mpanel_billing.console.visit import keep_new_session
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, UnauthenticatedError
from mpanel_billing.http.keys import SETTINGS
from mpanel_billing.http.middleware import CONSOLE_PATH, Handler
from mpanel_billing.telemetry.logs import REQUEST_ID

logger = logging.getLogger(__name__)

MODULES: tuple[Pages, ...] = (
    sign_in.pages,
    find.pages,
    customers.pages,
    whole_lists.pages,
    stories.pages,
    subscriptions.pages,
    plans.pages,
    endings.pages,
    pauses.pages,
    agreements.pages,
    after_end.pages,
    access_data.pages,
    disputes.pages,
    figures.pages,
    figures_by_part.pages,
    csv_files.pages,
    invoice_acts.pages,
    money.pages,
    charges.pages,
    offers.pages,
    new_invoices.pages,
    coupons.pages,
    usage.pages,
    work.pages,
    unsticking.pages,
    replays.pages,
    domains.pages,
    owned_domains.pages,
    replaced_domains.pages,
    servers.pages,
    moves.pages,
    reconcile.pages,
    merges.pages,
    deleted.pages,
    audit.pages,
    keys.pages,
    catalogue.pages,
    outside_prices.pages,
    set_up.pages,
)


def add_console(app: web.Application) -> None:
    """Add the pages of the console, and how they show errors."""
    actions = {name: action for pages in MODULES for name, action in pages.actions.items()}
    prepare(app, actions)
    app[EXAMINER] = Examiner()
    for pages in MODULES:
        app.add_routes(pages)
    app.add_routes(sign_in.routes)
    app.add_routes(files.routes)
    app.middlewares.append(show_errors)
    if app[SETTINGS].console_oidc_issuer:
        from mpanel_billing.console.routes import oidc  # noqa: PLC0415 - what it needs takes memory

        app.add_routes(oidc.routes)
        app.cleanup_ctx.append(oidc.open_provider)


@web.middleware
async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn exceptions under /console into pages; give the browser a session that has begun."""
    if not request.path.startswith(CONSOLE_PATH):
        return await handler(request)
    try:
        response = await _answer(request, handler)
    except (BillingError, web.HTTPException, asyncpg.TransactionRollbackError) as error:
        response = _show(request, error)
    except Exception as error:
        logger.exception("a page failed unexpectedly")
        response = _show(request, error)
    keep_new_session(request, response)
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UnauthenticatedError:
        return await ask_to_sign_in(request)


def _show(request: web.Request, error: Exception) -> web.StreamResponse:
    """Return the page of an error; details of unexpected ones only go to the log."""
    code, sentence, status = "internal_error", "", HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after = None
    if isinstance(error, BillingError):
        code, sentence, status = error.code, error.message, error.status
        retry_after = error.retry_after
    elif isinstance(error, web.HTTPException):
        if error.status < HTTPStatus.BAD_REQUEST:
            raise error
        code, sentence, status = "http_error", error.reason, HTTPStatus(error.status)
        if status == HTTPStatus.NOT_FOUND:
            sentence = say("refusal.no_page")
    elif isinstance(error, asyncpg.TransactionRollbackError):
        logger.warning("the database rolled a transaction back: %s", error)
        code, status, retry_after = "busy", HTTPStatus.SERVICE_UNAVAILABLE, 1
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        sentence = ""
    response = request.app[RENDER](request, error_page(code, sentence, status, REQUEST_ID.get()))
    return with_retry_after(response, retry_after)
