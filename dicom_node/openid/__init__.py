"""Log-in by OpenID Connect: the provider is asked, what it says is verified."""
