"""The protocol of the hosted endpoint: run, stream, queue, estimate."""
