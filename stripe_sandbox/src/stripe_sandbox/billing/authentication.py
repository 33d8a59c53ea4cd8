"""3D Secure: which payments require it, and what the buyer has to do."""

from stripe_sandbox.billing.customers import CARD, instrument_behind
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def requires_authentication(world: World, method_id: str, *, buyer_present: bool) -> bool:
    """Return whether a payment with the card has to be authenticated by its holder."""
    when = instrument_behind(world, method_id).authentication
    if when == "unless_set_up":
        return not is_set_up(world, method_id)
    return when == "always" or (when == "on_session" and buyer_present)


def is_set_up(world: World, method_id: str) -> bool:
    """Return whether the card was authenticated for later payments."""
    return bool((world.store.peek(CARD, method_id) or {}).get("set_up"))


def note_set_up(world: World, method_id: str) -> None:
    """Note that the card's holder has authenticated it for later payments."""
    world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "set_up": True})


def next_action(world: World, intent: ReadOnly, return_url: str | None) -> Document:
    """Return what the buyer has to do: go to the page of their bank, here `/3ds/{id}`."""
    url = f"{world.base_url}/3ds/{intent['id']}"
    if return_url:
        return {
            "redirect_to_url": {"return_url": return_url, "url": url},
            "type": "redirect_to_url",
        }
    details = {"stripe_js": url, "type": "three_d_secure_redirect"}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": details}
