"""The OpenAPI document: it is made from the table of routes."""
