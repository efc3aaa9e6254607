"""What may still wake a loop, one module for each kind of thing."""
