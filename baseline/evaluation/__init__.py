"""Shortcut checks, subgroups, and faithfulness of the reasons."""
