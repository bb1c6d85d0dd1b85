"""Steps that several interactions share."""
