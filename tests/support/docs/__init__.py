"""Reading the pages of the documentation, and running their examples."""
