"""How far a long node is, and words under a running one, where the host can show them."""
import comfy.model_management
import comfy.utils


def under_node(node):
    """A function of a text that the front end shows under ``node`` while the graph runs; without a server it does nothing."""
    def show(text):
        from server import PromptServer
        instance = getattr(PromptServer, "instance", None)
        if node is not None and instance is not None and hasattr(instance, "send_progress_text"):
            instance.send_progress_text(text, node)
    return show


class Bar:
    """Called with (done, total): moves the node's progress bar and lets the user's stop through."""

    def __init__(self):
        self._bar = None

    def __call__(self, done, total):
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(total)
        self._bar.update_absolute(done, total)
        comfy.model_management.throw_exception_if_processing_interrupted()
