"""Pages written from the source (由源码生成的文档): `python -m fenzhi.cli.documents docs`.

Owns: the pages of every code a user can meet, the map of the rules, the list of settings. Does not own: the words of the
intake findings (`rules/submission`), nor any page that a person writes. A test compares every page with its source.
"""
