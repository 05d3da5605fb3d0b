"""fal's platform API: models, prices, usage."""
