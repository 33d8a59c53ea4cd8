"""`python -m mpanel_billing` is the command `mpanel-billing`."""

from mpanel_billing.cli import main

if __name__ == "__main__":
    main()
