"""The HTTP API of endpoints, subscriptions and deliveries."""
