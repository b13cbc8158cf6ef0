"""What people are told: status, freshness, history, mail, report and page."""
