"""The routes: each declares an endpoint, calls a service and returns its response model."""
