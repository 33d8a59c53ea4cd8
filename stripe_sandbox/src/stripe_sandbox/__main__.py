"""`python -m stripe_sandbox` is `stripe-sandbox`."""

from stripe_sandbox.command import main

if __name__ == "__main__":
    main()
