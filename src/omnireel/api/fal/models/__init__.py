"""JSON shapes of fal's protocol, except the endpoint's input and output.

The OpenAPI document is made from them. Handlers that must be fast write their JSON without them.
"""
