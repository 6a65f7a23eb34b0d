"""Amaranth blocks of the accelerator, each with its own cycle-exact software model."""
