"""The documented snippets, each as a user would write it."""
