"""What runs around every request."""
