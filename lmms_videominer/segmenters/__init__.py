"""Cutting a span of video into events: one protocol, one implementation a file."""
