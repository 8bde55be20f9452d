"""Floor 4: what a user runs.

The command line, the configuration files, the commands (check, demo, train, verify, solve,
netlist, report), run folders and the report.
"""
