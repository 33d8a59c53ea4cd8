"""`python -m benchmarks` measures webhooks, `python -m benchmarks provisioning` a sales burst."""

import sys

from benchmarks import provisioning, webhooks

if __name__ == "__main__":
    if sys.argv[1:2] == ["provisioning"]:
        provisioning.main(sys.argv[2:])
    else:
        webhooks.main()
