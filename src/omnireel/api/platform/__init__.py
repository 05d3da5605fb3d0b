"""The platform API: models, prices, usage."""
