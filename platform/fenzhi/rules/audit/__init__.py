"""Audit (审计): the canonical bytes of an event, the chain over events, and what shows that it was touched."""
