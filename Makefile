# Thin aliases of run.py, which also runs where there is no make: `python3 run.py demo`.
# More arguments: make test ARGS="-k sld"
PYTHON ?= python3

.PHONY: demo test test-pure serve bench soak exact rewrite measure train evaluate contract setup
demo test test-pure serve bench soak exact rewrite measure train evaluate contract setup:
	@$(PYTHON) run.py $@ $(ARGS)
