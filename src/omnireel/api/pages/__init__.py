"""Pages about the server itself: health, descriptions."""
