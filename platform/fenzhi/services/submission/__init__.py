"""Submission services (上报): receive parts, judge batches."""
