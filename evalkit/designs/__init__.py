"""Designs: frozen choices that are called on a study and a component."""

from evalkit.designs.staggered import StaggeredRollout as StaggeredRollout
