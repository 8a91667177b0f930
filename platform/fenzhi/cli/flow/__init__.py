"""The main job as its users do it (全流程), step by step through the API and nothing else.

The demonstration, the probes and the benchmarks all drive the platform through here; no step reaches around the API.
"""
