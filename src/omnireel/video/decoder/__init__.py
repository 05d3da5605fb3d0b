"""The sandboxed process that decodes clips."""
