"""What needs no framework: the parts that Django and FastAPI share."""
