"""Messages to mPanel about what has changed, by the Standard Webhooks specification."""
