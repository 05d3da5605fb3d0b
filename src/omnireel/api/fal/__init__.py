"""fal's protocol for the endpoint: run, stream, queue and estimate."""
