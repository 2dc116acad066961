"""`run.py evaluate PLAN`: what guards do on anybody's model, over many prompts and seeds, on one server or several.

plan.py        what to do: a graph with marked inputs, prompts, arms, detectors; refused here if it cannot work
prompts.py     prompt files of many kinds as rows
items.py       every run that a plan asks for, as an API graph with an id
servers.py     runs on servers, by threads;  ray_servers.py: the same over a Ray cluster
results.py     one line a run, appended and on the disk before the next; goes on where it stopped
measures.py    the field's figures, from plain numbers
tables.py      results -> figures of each arm
plots.py, report.py     figures -> one HTML file;  plain.py: the same as Markdown
rating.py      pictures -> a feedback set for people to rate;  taking.py: -> labels and pictures for trainings
"""
