"""The rules of OAuth 2 and SMART App Launch for the development authorization server; pure."""
