"""The published models on one page: the demonstration, and the page to try them in a browser."""
