"""Trials: what chance assigned, by the procedure that assigned it"""
