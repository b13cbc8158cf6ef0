"""The command line: ``bin/feature-store plan | apply | status | report | …``."""
