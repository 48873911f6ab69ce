"""From a head CT volume to an opinion on the intracerebral hematoma in it."""

__version__ = "0.1.0"
