"""Verification (核验): whether a database, running or restored, still holds what was written."""
