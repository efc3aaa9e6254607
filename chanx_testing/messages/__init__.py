"""Messages: pydantic models, and nothing else."""
