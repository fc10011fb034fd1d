"""A Django project of its own that has the product among its apps, and follows its own models."""
