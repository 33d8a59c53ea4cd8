"""`mpanel-billing coupons`: what codes take off, who has had them, and who gets them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from mpanel_billing.catalogue.coupon_texts import discount_text, duration_text, limit_texts
from mpanel_billing.catalogue.model import Coupon
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.checkout.repository.redemptions import list_redemptions_of_coupon
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import OptionalReason, Subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.cli.subscriptions import Key, print_changed, run_for
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import NotFoundError
from mpanel_billing.money import format_money
from mpanel_billing.settings import load_settings

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions.coupons import CouponPreview

app = typer.Typer(
    help="Coupons: what codes take off, who has redeemed them, and who gets them.",
    no_args_is_help=True,
)

Code = Annotated[str, typer.Argument(metavar="CODE", help="In any case.")]
Preview = Annotated[bool, typer.Option("--preview", help="Only show what it does.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of redemptions.")]


@app.command("list")
def list_() -> None:
    """List the coupons of the catalogue that are valid now."""
    found = with_pool(_read_coupons)
    for coupon in found:
        print_line(f"{coupon.code}: {_terms(coupon)}; {coupon.name}")
    if not found:
        typer.echo("no coupons")


@app.command()
def show(code: Code, *, limit: Limit = 100) -> None:
    """Show a coupon of the catalogue, and who has redeemed a code, also one of Stripe's."""
    written = code.strip().upper()
    coupon = next((one for one in with_pool(_read_coupons) if one.code == written), None)
    rows = with_pool(lambda pool: _read_redemptions(pool, written, limit))
    if coupon is None and not rows:
        raise NotFoundError(f"No coupon {written} is valid now, and nobody has redeemed it.")
    if coupon:
        print_line(f"{coupon.code}: {_terms(coupon)}; {coupon.name}")
        for limitation in limit_texts(coupon):
            print_line(f"  {limitation}")
    else:
        print_line(f"{written}: not in the catalogue now")
    for row in rows:
        print_line(_redemption(row))
    if not rows:
        typer.echo("nobody has redeemed it")


@app.command()
def apply(
    subscription: Subscription,
    code: Code,
    *,
    reason: OptionalReason = None,
    preview: Preview = False,
    key: Key = None,
) -> None:
    """Give a subscription the discount of a code; those that it has stay."""
    from mpanel_billing.subscriptions import coupons  # noqa: PLC0415 - see above

    accepted = load_settings().stripe_promotion_codes == "accept"
    if preview:
        found = run_for(
            subscription,
            key,
            lambda mirror, request: coupons.preview_coupon(
                mirror, request, code, promotion_codes=accepted
            ),
        )
        if found is None:
            raise NotFoundError("This code is not valid for this subscription.")
        print_line(f"{found.coupon.code}: {_terms(found.coupon)}; {found.coupon.name}")
        _print_preview(found.preview)
        return
    print_changed(
        run_for(
            subscription,
            key,
            lambda mirror, request: coupons.apply_coupon(
                mirror, request, code, reason=reason, promotion_codes=accepted
            ),
        )
    )


@app.command()
def remove(
    subscription: Subscription,
    coupon: Annotated[str, typer.Argument(help="Stripe's id, which is the code of ours.")],
    *,
    reason: OptionalReason = None,
    preview: Preview = False,
    key: Key = None,
) -> None:
    """Take the discount of a coupon off a subscription."""
    from mpanel_billing.subscriptions import coupons  # noqa: PLC0415 - see above

    if preview:
        _print_preview(
            run_for(
                subscription,
                key,
                lambda mirror, request: coupons.preview_removal(mirror, request, coupon),
            )
        )
        return
    print_changed(
        run_for(
            subscription,
            key,
            lambda mirror, request: coupons.remove_coupon(mirror, request, coupon, reason=reason),
        )
    )


async def _read_coupons(pool: Pool) -> tuple[Coupon, ...]:
    return (await read_catalogue(pool, livemode=load_settings().livemode)).coupons


async def _read_redemptions(pool: Pool, code: str, limit: int) -> Sequence[asyncpg.Record]:
    async with acquired(pool) as conn:
        return await list_redemptions_of_coupon(
            conn, code, limit, livemode=load_settings().livemode
        )


def _terms(coupon: Coupon) -> str:
    """Return what a coupon takes off, and for how long."""
    return f"{discount_text(coupon)} {duration_text(coupon)}"


def _redemption(row: asyncpg.Record) -> str:
    said = {"order": "ordered with it", "change": "was given it", "offer": "took the offer"}
    who = row["customer_email"] or row["customer_id"] or "no customer"
    what = row["stripe_subscription_id"] or row["subscription_id"]
    return f"{moment_text(row['redeemed_at'])}  {who}  {said[row['way']]}: {what}, {row['status']}"


def _print_preview(preview: "CouponPreview") -> None:
    if preview.before is None or preview.after is None:
        typer.echo("it is not billed again")
        return
    now, then = (format_money(each, preview.currency) for each in (preview.before, preview.after))
    print_line(f"next invoice: {now}; then {then}")
