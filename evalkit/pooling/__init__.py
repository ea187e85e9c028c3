"""Across places: evidence cards, component effects pooled over places, what worked where"""
