"""Shapes of fal's protocol beside the endpoint's input and output.

They describe what handlers read and write. Handlers of the hot paths write their JSON without them.
"""
