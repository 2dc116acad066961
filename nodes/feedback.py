"""Human feedback as nodes: file pictures to be rated, load what people said."""

from comfy_api.latest import io, ui

from ..guards.feedback import host_routes as feedback_routes
from ..guards.feedback import host_sets as sets
from ..guards.graph import nearest_seed

Feedback = io.Custom("GUARD_FEEDBACK")


class GuardRateImages(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardRateImages",
            display_name="Rate Images",
            category="guards/feedback",
            is_output_node=True,
            description="Files pictures into a feedback set and shows them. People rate them in the sidebar's Rate tab, whenever they "
            "like: how much does each show the concept?",
            inputs=[
                io.Image.Input("images", tooltip="The pictures to file. The same picture is filed once."),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    tooltip="What the pictures were made from, for the record. Raters do not see it.",
                ),
                io.String.Input(
                    "concept", default="", tooltip="What raters are asked about, in their words, such as: beer."
                ),
                io.String.Input(
                    "set_name",
                    default="my_feedback",
                    tooltip="The set to file into, a plain name. It is made when there is none yet. One set for each concept.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images")],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, images, prompt, concept, set_name):
        sets.file_images(images, prompt, concept, set_name, nearest_seed(cls.hidden.prompt, cls.hidden.unique_id))
        feedback_routes.tell_pages(set_name)
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))


class GuardLoadFeedback(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GuardLoadFeedback",
            display_name="Load Feedback",
            category="guards/feedback",
            description="Turns a set's ratings into a reward for each picture, and says what is missing in them. With CLIP Vision, a small "
            "head learns from the rated pictures and judges the others too.",
            inputs=[
                io.Combo.Input(
                    "set_name",
                    options=sets.all_names(),
                    tooltip="A feedback set that Rate Images has made, or one that comes with the pack. Press R to read the "
                    "list again.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Its features let the reward head judge every picture of the set. Without it, only rated "
                    "pictures are used, with the ratings themselves.",
                ),
                io.Boolean.Input(
                    "keep_ratings",
                    default=False,
                    optional=True,
                    tooltip="With CLIP Vision. Off: the head judges every picture, which evens out slips of single raters. "
                    "On: rated pictures keep their own ratings.",
                ),
            ],
            outputs=[Feedback.Output(display_name="feedback"), io.String.Output(display_name="report")],
        )

    @classmethod
    def fingerprint_inputs(cls, set_name, **_):
        return sets.fingerprint(set_name)

    @classmethod
    def execute(cls, set_name, clip_vision=None, keep_ratings=False):
        feedback, report = sets.load(set_name, clip_vision, keep_ratings)
        return io.NodeOutput(feedback, report, ui=ui.PreviewText(report))


NODES = [GuardRateImages, GuardLoadFeedback]
