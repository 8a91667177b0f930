"""Probes of the walls between tenants (越权探测): every field and every path, as every role, for every relation.

What is asked is read from the schema and from the route table, never from a list kept by hand: a new field or path is probed the day it
appears, and one that the probes cannot judge fails them.
"""

from fenzhi.cli.probes.command import probes

__all__ = ["probes"]
