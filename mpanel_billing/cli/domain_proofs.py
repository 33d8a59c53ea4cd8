"""The commands of `mpanel-billing domains` about names that buyers have to prove."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.domains import Name
from mpanel_billing.cli.options import Reason
from mpanel_billing.cli.output import print_line
from mpanel_billing.cli.replaced_domains import app
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.domains.names import DomainName
from mpanel_billing.errors import NotFoundError
from mpanel_billing.settings import load_settings

if TYPE_CHECKING:
    from mpanel_billing.domains.proof import Finding
    from mpanel_billing.provisioning.proofs import Decision

__all__ = ["app"]  # of `domains`, with these commands


@app.command()
def verify(name: Name) -> None:
    """Check now whether buyers have proven that a name is theirs."""
    from mpanel_billing.provisioning.proofs import check_now, proof_checks_of  # noqa: PLC0415

    settings = load_settings()

    async def check(pool: Pool) -> Sequence[str]:
        checks = proof_checks_of(settings, pool)
        return [
            f"customer {row['customer_id']}: {_result_of(await check_now(checks, row['id']))}"
            for row in await _unproven(pool, name)
        ]

    for line in with_pool(check):
        print_line(line)


def _result_of(finding: "Finding | None") -> str:
    if finding is None:
        return "checked a moment ago; try again in 20 seconds"
    return finding.missing if finding.proven_by is None else f"proven by {finding.proven_by}"


Customer = Annotated[UUID, typer.Option(help="Whose it is to be.")]


@app.command()
def accept(name: Name, customer: Customer, reason: Reason) -> None:
    """Accept a name as proven, after another proof that it is the customer's."""
    with_pool(lambda pool: _decide(pool, name, customer, "accept", reason))
    typer.echo("accepted; its tenant gets the name")


@app.command()
def reject(name: Name, customer: Customer, reason: Reason) -> None:
    """End the wait for a proof; the tenant keeps its name in our zone."""
    with_pool(lambda pool: _decide(pool, name, customer, "reject", reason))
    typer.echo("rejected; the tenant keeps its name in our zone")


async def _unproven(
    pool: Pool, name: DomainName, customer: UUID | None = None
) -> Sequence[asyncpg.Record]:
    from mpanel_billing.provisioning.repository import proofs  # noqa: PLC0415

    async with acquired(pool) as conn:
        rows = await proofs.list_of_name(conn, name, customer)
    if not rows:
        raise NotFoundError(f"Nobody has to prove {name.unicode}: see `domains show`.")
    return rows


async def _decide(
    pool: Pool, name: DomainName, customer: UUID, decision: "Decision", reason: str
) -> None:
    """Decide what a customer has still to prove, and record who did and why."""
    from mpanel_billing.provisioning.proofs import decide_proof  # noqa: PLC0415

    for row in await _unproven(pool, name, customer):
        await decide_proof(pool, command_line_actor(), row["id"], decision, reason)
