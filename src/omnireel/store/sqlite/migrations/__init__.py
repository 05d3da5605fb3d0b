"""The migrations of the schema: numbered steps from an empty file to the newest version."""
