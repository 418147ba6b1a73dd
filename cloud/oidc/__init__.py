"""Coming in by a department's own sign-on, by OpenID Connect."""
