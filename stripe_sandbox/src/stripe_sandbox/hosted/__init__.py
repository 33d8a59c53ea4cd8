"""The pages that a buyer sees: Checkout, the portal and an invoice, as plain HTML."""
