# Thin aliases of run.py, which also runs where there is no make: `python3 run.py demo`.
# More arguments: make test ARGS="-k sld"
PYTHON ?= python3

.PHONY: demo test serve bench soak exact rewrite setup
demo test serve bench soak exact rewrite setup:
	@$(PYTHON) run.py $@ $(ARGS)
