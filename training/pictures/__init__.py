"""Clips that show something else than simple scenes: photographs, cartoons, icons, pages, other shapes.

The pictures come from packages that others publish. They are downloaded when they are needed, and none is shipped.
"""
