"""The wire format of the hosted endpoint, and nothing else."""
