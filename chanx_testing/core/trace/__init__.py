"""What was said in a test, kept for a failure to show."""
