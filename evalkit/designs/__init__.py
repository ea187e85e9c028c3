"""Designs: frozen choices that are called on a study and a component."""
