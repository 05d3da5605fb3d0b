"""fal's protocol for uploads and stored files."""
