"""The API description in OpenAPI 3.1, generated from the declarations of the routes."""
