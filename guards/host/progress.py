"""Words under a running node, where the host can show them."""


def under_node(node):
    """A function of a text that the front end shows under ``node`` while the graph runs; without a server it does nothing."""
    def show(text):
        from server import PromptServer
        instance = getattr(PromptServer, "instance", None)
        if node is not None and instance is not None and hasattr(instance, "send_progress_text"):
            instance.send_progress_text(text, node)
    return show
