"""`python -m benchmarks` measures webhooks; a name before the options is another benchmark."""

import sys

from benchmarks import (
    bloat,
    breakdown,
    compare,
    console,
    entitlements,
    mixed,
    orders,
    peers,
    provisioning,
    purchase,
    reads,
    responses,
    webhooks,
)

OTHERS = {
    "bloat": bloat.main,
    "breakdown": breakdown.main,
    "compare": compare.main,
    "console": console.main,
    "entitlements": entitlements.main,
    "mixed": mixed.main,
    "orders": orders.main,
    "peers": peers.main,
    "provisioning": provisioning.main,
    "purchase": purchase.main,
    "reads": reads.main,
    "responses": responses.main,
}

if __name__ == "__main__":
    if other := OTHERS.get(next(iter(sys.argv[1:]), "")):
        other(sys.argv[2:])
    else:
        webhooks.main()
