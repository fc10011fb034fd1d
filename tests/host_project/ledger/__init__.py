"""An app of somebody else, which knows nothing of the product."""
