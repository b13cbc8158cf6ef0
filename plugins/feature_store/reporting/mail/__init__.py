"""The mails: what broke, for somebody who reads it at breakfast."""
