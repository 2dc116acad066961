"""Run a module of this project: `python tools/setup/launch.py tools.pictures.demo ...`.

It stands between `run.py` and the module because the interpreter may be one that ignores PYTHONPATH and the working
folder (ComfyUI's portable build for Windows). The test libraries go to the very end of the path: what the user's own
environment has is never shadowed.
"""

import os
import runpy
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    extra = os.environ.get("CONCEPT_GUARDS_TEST_LIBRARIES")
    sys.path = [os.path.dirname(os.path.dirname(here))] + [
        place for place in sys.path if os.path.abspath(place) != here and place != extra
    ]
    if extra:
        sys.path.append(extra)
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
