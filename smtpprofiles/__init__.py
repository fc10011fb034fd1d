"""How mail goes out: SMTP profiles, and handing mail in through one of them."""
