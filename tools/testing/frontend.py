"""The real front end in a headless Chromium, worked as a user works it: the template browser, dropped files, the Run button.

Everything waits for what it needs to see, never for a time. What the page complains about is kept in `complaints`.
"""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from PIL import Image
    from playwright.sync_api import ConsoleMessage, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PATIENCE = 120_000  # milliseconds: a small machine may be busy with other things
CLASSIC, NODES_2 = "classic renderer", "Nodes 2.0"

IDLE = "() => !document.querySelector('.p-blockui-mask')"  # the veil that the page wears while it loads a graph
DROP = """({name, type, data}) => {
    const file = new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, {type});
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    window.replaced = app.graph.nodes[0] ?? null;
    app.canvas.canvas.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer, clientX: 700, clientY: 500}));
}"""
LOADED = "(count) => app.graph.nodes.length === count && app.graph.nodes[0] !== window.replaced"
PICTURES = """(id) => {
    const element = document.querySelector(`[data-node-id="${id}"]`);
    const images = element ? [...element.querySelectorAll('img')].filter((i) => i.checkVisibility() && i.width > 8)
                           : app.graph.getNodeById(id).imgs ?? [];
    return images.filter((i) => i.complete && i.naturalWidth > 0).length;
}"""
FAULTS = """() => app.graph.nodes.flatMap((node) => {
    const name = `${node.id} ${node.type}`;
    return [!LiteGraph.registered_node_types[node.type] && `${name}: missing`, node.has_errors && `${name}: red`,
            app.lastNodeErrors?.[node.id] && `${name}: refused`,
            app.lastExecutionError?.node_id == node.id && `${name}: failed`].filter(Boolean);
})"""
FRAME = """async (id) => {    // bring a node into view at full size; where it is on the screen then
    const node = app.graph.getNodeById(id), view = app.canvas.ds, corner = app.canvas.canvas.getBoundingClientRect();
    view.scale = 1;
    view.offset = [300 - node.pos[0], 200 - node.pos[1]];
    app.canvas.setDirty(true, true);
    for (let frames = 0; frames < 3; frames++) await new Promise(requestAnimationFrame);
    return {x: corner.left + 300, y: corner.top + 200, width: node.size[0], height: node.size[1]};
}"""
LINE = "({id, widget}) => app.graph.getNodeById(id).widgets.find((w) => w.name === widget).y"


@dataclass(frozen=True)
class Complaint:
    """One console error or uncaught exception: its first line, and the address it is about."""

    text: str
    place: str


class FrontEnd:
    """One page of one renderer on a running server."""

    def __init__(self, page: Page, server, renderer: str):
        self.page, self.server, self.renderer = page, server, renderer
        self.complaints: list[Complaint] = []
        self.crashed = False
        page.set_default_timeout(PATIENCE)
        page.on("crash", self._crash)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._complain(str(error), server.url))

    def open(self) -> None:
        """A first visit. The page greets with its template browser, which is closed."""
        self.server.post(
            "/settings",
            {
                "Comfy.VueNodes.Enabled": self.renderer == NODES_2,
                "Comfy.TutorialCompleted": False,
                "Comfy.Workflow.Persist": False,
                "Comfy.Minimap.Visible": False,
                "LiteGraph.Node.TooltipDelay": 50,
            },
        )
        self.page.goto(self.server.url)
        templates = self.page.get_by_test_id("template-workflows-content")
        templates.wait_for()
        self.page.keyboard.press("Escape")
        templates.wait_for(state="detached")

    def open_template(self, pack: str, name: str, nodes: int) -> None:
        """Through the template browser: its button in the side bar, the pack's entry on the left, then the card."""
        self.page.evaluate("() => { window.replaced = app.graph.nodes[0] ?? null }")
        self.page.get_by_role("button", name="Templates", exact=True).click()
        self.page.get_by_text(pack, exact=True).first.click()
        self.page.get_by_test_id(f"template-workflow-{name}").click()
        self._loaded(nodes)

    def drop(self, name: str, data: bytes, nodes: int) -> None:
        """Drop a file on the canvas and wait until its graph, of so many nodes, has taken the place of the one before."""
        kind = "image/png" if name.endswith(".png") else "application/json"
        self.page.wait_for_function(IDLE)
        self.page.evaluate(DROP, {"name": name, "type": kind, "data": base64.b64encode(data).decode()})
        self._loaded(nodes)

    def _loaded(self, nodes: int) -> None:
        self.page.wait_for_function(LOADED, arg=nodes)
        self.page.wait_for_function(IDLE)

    def set_widgets(self, type: str, **values) -> None:
        """Type values into all nodes of a type."""
        self.page.evaluate(
            """({type, values}) => { for (const node of app.graph.nodes.filter((n) => n.type === type))
            for (const [name, value] of Object.entries(values)) node.widgets.find((w) => w.name === name).value = value }""",
            {"type": type, "values": values},
        )

    def run(self) -> None:
        self.page.wait_for_function(IDLE)
        self.page.get_by_test_id("queue-button").click()

    def nodes(self, *types: str) -> list[str]:
        """The ids of the graph's nodes of these types."""
        return self.page.evaluate(
            "(types) => app.graph.nodes.filter((n) => types.includes(n.type)).map((n) => String(n.id))", list(types)
        )

    def wait_for_pictures(self, node: str, count: int) -> None:
        """Until a node shows so many pictures; stops at once when the run has failed."""
        self.page.wait_for_function(
            f"({{id, count}}) => ({PICTURES})(id) === count || ({FAULTS})().length > 0",
            arg={"id": node, "count": count},
        )
        faults = self.faults()
        assert not faults, faults

    def look_at(self, node: str) -> Image.Image:
        """What the screen shows where a node is, after bringing it into view."""
        from PIL import Image

        return Image.open(io.BytesIO(self.page.screenshot(clip=self.page.evaluate(FRAME, node)))).convert("RGB")

    def faults(self) -> list[str]:
        """Nodes that the page marks as missing or in error."""
        return self.page.evaluate(FAULTS)

    def alarms(self) -> list[str]:
        """Error boxes that lie over the page."""
        shown = self.page.locator("[data-testid=error-dialog], [data-testid=error-overlay], .p-toast-message-error")
        return [box.inner_text() for box in shown.all() if box.is_visible()]

    def picture(self, node: str) -> bytes:
        """The first file that a node has put out."""
        return self.server.fetch(
            "/view?" + urlencode(self.page.evaluate("(id) => app.nodeOutputs[id].images[0]", node))
        )

    def graph(self) -> dict:
        """What would be queued and what would be saved, without the viewport."""
        found = json.loads(self.page.evaluate("async () => JSON.stringify(await app.graphToPrompt())"))
        found["workflow"].pop("extra", None)
        found["workflow"]["nodes"].sort(key=lambda node: node["id"])
        return found

    def help_of(self, node: str) -> str:
        """The text of a node's help page, opened as a user does: select it, then Node Info."""
        self.page.evaluate(
            "(id) => { app.canvas.deselectAll(); app.canvas.selectNode(app.graph.getNodeById(id)) }", node
        )
        self.page.get_by_test_id("info-button").click()
        panel = self.page.locator(".node-help-content")
        panel.locator("h1, h2, h3").first.wait_for()
        return panel.inner_text()

    def tooltip_of(self, node: str, widget: str) -> str:
        """What the page says when the mouse rests on a widget."""
        frame = self.page.evaluate(FRAME, node)
        if self.renderer == NODES_2:
            self.page.locator(
                f"[data-node-id='{node}'] [data-testid=widget-layout-field-label]", has_text=widget
            ).hover()
        else:
            x, y = frame["x"] + 60, frame["y"] + 10 + self.page.evaluate(LINE, {"id": node, "widget": widget})
            self.page.mouse.move(x - 30, y)
            self.page.mouse.move(x, y, steps=3)
        tip = self.page.locator(".node-tooltip:visible, .p-tooltip:visible").filter(has_text=re.compile(r"\w"))
        tip.first.wait_for()
        return tip.first.inner_text()

    def _crash(self, *_) -> None:
        self.crashed = True

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complain(message.text, message.location.get("url") or self.server.url)

    def _complain(self, text: str, url: str) -> None:
        """Complaints about other machines (a test may run without a network) are the host's own and left out."""
        if not url.startswith(self.server.url):
            return
        self.complaints.append(Complaint(text.replace(self.server.url, "").splitlines()[0], urlsplit(url).path))
