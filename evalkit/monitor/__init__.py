"""The monitor: is the feed right, is delivery on plan, has anything crossed a line agreed beforehand?"""
