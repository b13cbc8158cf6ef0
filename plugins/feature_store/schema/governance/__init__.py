"""The tables and functions of each governed schema: compared with their files, and created."""
