"""What an operator searches for: customers by any id, an e-mail address, a domain, a name."""
