"""`make bench`: run the benchmarks; `make bench ARGS=provisioning` that of provisioning."""

import sys

from benchmarks import provisioning, webhooks

if __name__ == "__main__":
    if sys.argv[1:2] == ["provisioning"]:
        provisioning.main(sys.argv[2:])
    else:
        webhooks.main()
