"""How far our clock is off."""

from mpanel_billing.doctor.finding import Finding, duration, failed, ok, warning
from mpanel_billing.webhooks.signature import TOLERANCE_SECONDS

FAILED_SECONDS = TOLERANCE_SECONDS / 5
WARNING_SECONDS = 5.0


def judge_clock(name: str, ahead: float, whose: str) -> Finding:
    """Judge by how many seconds our clock is ahead of another."""
    word = "ahead of" if ahead > 0 else "behind"
    if abs(ahead) <= WARNING_SECONDS:
        return ok(name, f"in step with {whose}")
    text = f"{duration(abs(ahead))} {word} {whose}"
    if abs(ahead) <= FAILED_SECONDS:
        return warning(name, text, "let NTP keep the clocks (timedatectl)")
    advice = (
        f"set the clock: signatures of webhooks are refused when it is off by {TOLERANCE_SECONDS} s"
    )
    return failed(name, text, advice)
