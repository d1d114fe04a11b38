"""A trained model as a service: HTTP in, text out, requests that come together written in one batch."""
