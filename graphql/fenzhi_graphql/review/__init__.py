"""Special-case review in the API (特例单议)."""
