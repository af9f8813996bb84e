"""The staff's API."""
