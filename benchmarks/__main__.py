"""`python -m benchmarks` measures webhooks; `mixed` and `provisioning` are further benchmarks."""

import sys

from benchmarks import mixed, provisioning, webhooks

if __name__ == "__main__":
    if sys.argv[1:2] == ["provisioning"]:
        provisioning.main(sys.argv[2:])
    elif sys.argv[1:2] == ["mixed"]:
        mixed.main(sys.argv[2:])
    else:
        webhooks.main()
