"""The operators' console: pages under /console, over the same services as the API."""
