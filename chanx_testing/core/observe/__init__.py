"""What consumers report beside the wire, and who listens to the reports."""
