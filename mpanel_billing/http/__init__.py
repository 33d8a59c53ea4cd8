"""The HTTP API: endpoints over the services, their schemas, and one shape for errors."""
