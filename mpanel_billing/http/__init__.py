"""The HTTP face of the service: thin routes over the services, one middleware for errors."""
