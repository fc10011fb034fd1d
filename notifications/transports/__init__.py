"""How a delivery leaves: one module a transport, values in and values out."""
