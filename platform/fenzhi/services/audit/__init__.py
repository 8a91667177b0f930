"""Audit (审计): write down who saw whom, chain what was written down, anchor the chain, read and check it."""
