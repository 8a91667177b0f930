"""The national adapter (国家接口适配): transactions 4101A to 4105 and the shapes of 3606 and 3607, in the national envelope.

Owns: what a message says and what the answer looks like. Does not own: what a list may do next (`rules.submission.filing`) or whether
it is sound (the checks). Numbers are read by their own text, never through a float.
"""
