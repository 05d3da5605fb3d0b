"""Jobs: submission, running, events and clean-up."""
