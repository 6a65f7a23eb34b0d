"""Verification, synthesis and the command line."""
