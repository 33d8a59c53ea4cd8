"""The JSON that routes take and return, as pydantic models; each module belongs to its routes."""
