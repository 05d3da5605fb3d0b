"""From what a request names to a file on this machine."""
