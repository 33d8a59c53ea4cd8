"""What the role of DATABASE_URL may do: too little, and the service fails; too much is a risk."""

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.privileges import Need, listed
from mpanel_billing.database.runtime_roles import RoleState, examine_role
from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning

_NAME = "database rights"
_GRANT = "run what `mpanel-billing database grants` prints (docs/deployment.md)"
_MOST = 3


async def check_rights(pool: Pool) -> list[Finding]:
    """Compare what our role may do with what the processes need that it was made for."""
    return judge_rights(await examine_role(pool))


def judge_rights(role: RoleState) -> list[Finding]:
    """Judge a role; one that may do anything is not compared, as `database user` names it."""
    if role.almighty:
        return []
    processes = " and ".join(role.processes)
    findings = []
    if role.missing:
        text = f"{role.name} lacks {_named(role.missing)}, needed by {processes}"
        findings.append(failed(_NAME, text, _GRANT))
    if role.excess:
        text = f"{role.name} has {_named(role.excess)}, not needed by {processes}"
        findings.append(warning(_NAME, text, _GRANT))
    if role.creates:
        text = f"{role.name} may create tables in the schema public"
        advice = "REVOKE CREATE ON SCHEMA public FROM PUBLIC, or from the role"
        findings.append(warning(_NAME, text, advice))
    return findings or [ok(_NAME, f"{role.name} has those of {processes}, and no others")]


def _named(needs: list[Need]) -> str:
    return some(listed(needs), _MOST)
