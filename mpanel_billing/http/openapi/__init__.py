"""The description of the API in OpenAPI 3.1, made of the models that check and write its bodies."""
