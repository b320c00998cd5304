"""Reading videos: one protocol, two backends."""
