"""A language model of the ``models/LLM`` folder, run by transformers under the host's memory management.

Nothing is downloaded and no code of a model folder is run: local files, safetensors or GGUF, the tokenizer's own chat template.
transformers reads GGUF files where the packages `gguf` and `accelerate` are installed.
"""

import contextlib
import contextvars
import ctypes
import gc
import logging
import os
import sys
import threading
from dataclasses import dataclass
from typing import cast

import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import torch

from .. import seeds
from ..host import progress
from . import host_local_folder as llm_folder
from .decoding import (
    BannedWords,
    Beginnings,
    Drawn,
    EachRow,
    alternating,
    beginnings,
    plain_conversation,
    without_markup,
)
from .host_local_folder import needs, size_of
from .protocol import Answer, RewriterError, verdict

LARGE = 2e9  # bytes of weights in float32 from which they are kept smaller
BACK = 6  # times that an answer may go back to where a word began that it may not end
LOOKS = 0.3  # seconds between two looks at how far the library has come
_loaded = {}  # at most one: (path, time of change) -> Loaded


class LanguageModel(torch.nn.Module):
    """What the host manages: it sets attributes (`device`) that a transformers model forbids, and logs the name of this class."""

    def __init__(self, model):
        super().__init__()
        self.language_model = model


class Loaded:
    """A model and its tokenizer. ``patcher`` hands the weights to the host, which moves and counts them like any other model."""

    def __init__(self, path):
        self.tokenizer, model = _read(path, make_room(path))
        self.limit, self.beginnings = _context(model.config), Beginnings()
        self.special = sorted(
            {*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()}, key=len, reverse=True
        )
        self.patcher = comfy.model_patcher.ModelPatcher(
            LanguageModel(model), management.text_encoder_device(), torch.device("cpu")
        )

    def free(self):
        """Take the weights from the host and drop them where they are: detaching would first bring them back to main memory."""
        management.current_loaded_models[:] = [
            entry for entry in management.current_loaded_models if entry.model is not self.patcher
        ]
        self.patcher = self.tokenizer = self.beginnings = None


def _dtype(device, count):
    """The type of a model's weights on a device. Large models keep half the bytes on a processor that reckons in bfloat16, too."""
    if management.should_use_bf16(device):
        return torch.bfloat16
    if management.should_use_fp16(device):
        return torch.float16
    small = 4 * count < LARGE or not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.float32 if small else torch.bfloat16


def _typed(dtype, version=None):
    """The argument that sets the type of a model's weights: transformers 4.56 has renamed it."""
    import transformers

    numbers = (version or transformers.__version__).split(".")[:2]
    return {"dtype" if tuple(map(int, numbers)) >= (4, 56) else "torch_dtype": dtype}


def _unpacked():
    """The argument that has a GGUF file's weights unpacked as they are loaded. A newer transformers leaves them packed where it finds, or
    fetches, a kernel for them: the host could neither move nor count those."""
    import transformers

    config = getattr(transformers, "GgufConfig", None)
    return {"quantization_config": config(dequantize=True)} if config else {}


def _context(config):
    """How many tokens a model can look back."""
    text = config.get_text_config()
    return int(getattr(text, "max_position_embeddings", 0) or getattr(text, "n_positions", 0) or 2048)


@contextlib.contextmanager
def _quiet(logging):
    """transformers' progress bars off, as they were afterwards."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def make_room(path):
    """Free what a model will take, say how much that is, and the type its weights will have. Raises RewriterError where it does not fit."""
    device, count, what = management.text_encoder_device(), size_of(path), os.path.basename(path)
    dtype = _dtype(device, count)
    needed = count * dtype.itemsize
    management.free_memory(1.1 * needed, device)
    for place in {device, torch.device("cpu")}:
        free = cast(int, management.get_free_memory(place))  # one number: torch's own share was not asked for
        if needed > free:
            raise RewriterError(
                f"{what} takes {needed / 1e9:.1f} GB of memory ({count / 1e9:.2f} billion weights in {dtype}), and {free / 1e9:.1f} GB "
                f"are free on {place}. Use a smaller model, or close what else uses the memory."
            )
    if count:
        words = f"Loading {what}: {needed / 1e9:.1f} GB of memory, {count / 1e9:.2f} billion weights"
        logging.info(words)
        progress.under_node(progress.executing())(words)
    return dtype


@contextlib.contextmanager
def _watched():
    """While transformers unpacks a GGUF file, its bar as the node's bar: read from the library's own, by a thread that ends with it."""
    from tqdm.auto import tqdm

    ended, context = threading.Event(), contextvars.copy_context()

    def look():
        bar = None
        while not ended.wait(LOOKS):
            for shown in list(getattr(tqdm, "_instances", ())):
                if "GGUF" in str(getattr(shown, "desc", "")) and getattr(shown, "total", None):
                    bar = bar or comfy.utils.ProgressBar(shown.total)
                    bar.update_absolute(min(shown.n, shown.total), shown.total)

    thread = threading.Thread(target=context.run, args=(look,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read(path, dtype):
    """(tokenizer, model on the CPU) of a folder or GGUF file, the weights of type ``dtype``."""
    what = os.path.basename(path)
    command = needs(path)
    if command:
        raise RewriterError(
            f"{what} is a GGUF file; to read it, the Python of your ComfyUI needs further packages. Install them and "
            f"restart ComfyUI:\n    {command}\nOr use a model folder with .safetensors weights, which needs nothing."
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as library

    gguf = path.lower().endswith(".gguf")
    folder, options = (os.path.dirname(path), {"gguf_file": what}) if gguf else (path, {})
    options.update(local_files_only=True, trust_remote_code=False)
    weights = _unpacked() if gguf else {"use_safetensors": True}
    try:
        with _quiet(library), _watched(), torch.inference_mode(False):
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model = AutoModelForCausalLM.from_pretrained(folder, **_typed(dtype), **options, **weights)
    except (torch.cuda.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # each format has errors of its own
        reason = " ".join(str(error).split())[:300]
        raise RewriterError(
            f"{what} in models/LLM cannot be loaded as a language model: {reason} What works: chat models (Llama, Qwen, "
            "Gemma, Mistral, SmolLM and others that this transformers knows) as a folder with config.json, tokenizer "
            "files and .safetensors weights, or as one .gguf file. Code inside a model folder is never run."
        ) from error
    return tokenizer, model.eval().requires_grad_(False)


def load(path):
    """The model, from memory if it is there. One at a time: another one's weights are given back first."""
    key = (path, os.stat(path).st_mtime_ns)
    if key not in _loaded:
        free()
        _loaded[key] = Loaded(path)
    return _loaded[key]


def free():
    """Give back what is loaded, to the system as well."""
    while _loaded:
        _loaded.popitem()[1].free()
    gc.collect()
    management.soft_empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # musl has none
            ctypes.CDLL(None).malloc_trim(0)


def prompt_ids(loaded, messages, opened=True):
    """The conversation as token ids (1, n), by the tokenizer's chat template; markup inside a message is no markup. ``opened``: with the
    opening of an answer behind it."""
    messages = [{**m, "content": without_markup(m["content"], loaded.special)} for m in messages]
    tokenizer = loaded.tokenizer
    if not tokenizer.chat_template:
        return tokenizer(plain_conversation(messages), return_tensors="pt")["input_ids"]
    from jinja2.exceptions import TemplateError

    options = dict(add_generation_prompt=opened, return_tensors="pt", return_dict=True, enable_thinking=False)
    try:
        return tokenizer.apply_chat_template(messages, **options)["input_ids"]
    except TemplateError:  # Gemma 1 and 2 know no system role
        return tokenizer.apply_chat_template(alternating(messages), **options)["input_ids"]


@contextlib.contextmanager
def _stoppable(model):
    """The stop button acts between two layers, so that a long question does not delay it."""

    def check(*_):
        management.throw_exception_if_processing_interrupted()

    layers = [
        module
        for name, module in model.named_modules()
        if name.rsplit(".", 1)[-1].isdigit() and not name.count(".experts.")
    ]
    hooks = [layer.register_forward_pre_hook(check) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def generate(loaded, messages, max_length, temperature, seed, banned):
    """One Answer. Greedy at temperature 0, else sampled from ``seed``; the global random state is as before afterwards."""
    return generate_all(loaded, [messages], max_length, temperature, seed, [banned])[0]


def generate_all(loaded, conversations, max_length, temperature, seed, banned, drawn=()):
    """An Answer to each of some conversations, all at once. ``banned``: words for each; an answer that has begun one goes back to where
    it began, and says something else. ``drawn``: `Drawn` for each, which draws it for itself, at ``temperature`` 0."""
    management.load_models_gpu([loaded.patcher], force_full_load=True)
    model, device = loaded.patcher.model.language_model, loaded.patcher.load_device
    asked = [prompt_ids(loaded, messages) for messages in conversations]
    longest = max(ids.shape[1] for ids in asked)
    if longest + max_length > loaded.limit:
        raise RewriterError(
            f"the conversation is {longest} tokens long and the answer may take {max_length}, but this model looks back "
            f"{loaded.limit} at most. Shorten the query, lower max_length, or use a model with a longer context."
        )
    decode = lambda tokens: loaded.tokenizer.decode(tokens, skip_special_tokens=True)
    sampling = (
        dict(do_sample=True, temperature=temperature, top_k=64, top_p=0.95)
        if temperature > 0
        else dict(do_sample=False, temperature=None, top_k=None, top_p=None)
    )
    made: list[list[int]] = [[] for _ in asked]
    never: list[dict[int, set[int]]] = [{} for _ in asked]  # place of the answer -> tokens that lead nowhere there
    todo, ends = list(range(len(asked))), _ends(model, loaded.tokenizer)
    for back in reversed(range(BACK + 1)):
        management.throw_exception_if_processing_interrupted()
        written = [torch.cat([asked[n], torch.tensor([made[n]], dtype=torch.long)], 1).to(device) for n in todo]
        longest = max(ids.shape[1] for ids in written)
        banning = [BannedWords(banned[n], decode, longest - len(made[n]), never[n]) for n in todo]
        each = EachRow([[words, *drawn[n : n + 1]] for words, n in zip(banning, todo)])
        with torch.inference_mode(), _seeded(seed, device), _stoppable(model):
            out = model.generate(
                **_begun(loaded, model, [conversations[n] for n in todo], written),
                max_new_tokens=max_length - min(len(made[n]) for n in todo),
                pad_token_id=_pad(loaded.tokenizer),
                logits_processor=[each] if any(banned) or drawn else [],
                stopping_criteria=[each.stuck] if any(banned) and back else [],
                **sampling,
            )
        rows, before, todo = out[:, longest:].tolist(), todo, []
        for n, row, words in zip(before, rows, banning):
            made[n] = _until(made[n] + row, ends)[:max_length]
            if words.stuck and back:
                place, token = words.stuck
                made[n] = made[n][:place]
                never[n].setdefault(place, set()).add(token)
                todo.append(n)
        if not todo:
            break
    return [Answer(decode(row).strip(), ids.shape[1], len(row)) for row, ids in zip(made, asked)]


def _begun(loaded, model, conversations, asked):
    """What `generate` takes for conversations of the token ids ``asked``."""
    part_ids = lambda part: prompt_ids(loaded, part, opened=False)
    found = [beginnings(ids, messages, part_ids) for ids, messages in zip(asked, conversations)]
    return loaded.beginnings.inputs(model, asked, found, _pad(loaded.tokenizer))


def _ends(model, tokenizer):
    """The tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}


def _until(row, ends):
    """A row of made tokens up to its end, that included: what follows only fills up."""
    end = next((place for place, token in enumerate(row) if token in ends), len(row) - 1)
    return row[: end + 1]


def first_words(loaded, conversations, most=64):
    """For each conversation (the Answer's one token, the likeliest first words as (word, probability)): one look of the model, nothing is
    drawn."""
    management.load_models_gpu([loaded.patcher], force_full_load=True)
    model, device = loaded.patcher.model.language_model, loaded.patcher.load_device
    asked = [prompt_ids(loaded, messages) for messages in conversations]
    longest = max(ids.shape[1] for ids in asked)
    if longest >= loaded.limit:
        raise RewriterError(f"the question is {longest} tokens long, but this model looks back {loaded.limit} at most.")
    management.throw_exception_if_processing_interrupted()
    with torch.inference_mode(), _stoppable(model):
        out = model.generate(
            **_begun(loaded, model, conversations, [ids.to(device) for ids in asked]),
            max_new_tokens=1,
            pad_token_id=_pad(loaded.tokenizer),
            do_sample=False,
            temperature=None,
            top_k=None,
            top_p=None,
            return_dict_in_generate=True,
            output_logits=True,
        )
    shares = out.logits[0].float().softmax(-1)
    best = shares.topk(min(most, shares.shape[-1]))
    found = []
    for ids, tokens, values in zip(asked, best.indices.tolist(), best.values.tolist()):
        words = [loaded.tokenizer.decode([token]) for token in tokens]
        found.append((Answer(words[0].strip(), ids.shape[1], 1), list(zip(words, values))))
    return found


def _pad(tokenizer):
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id


@contextlib.contextmanager
def _seeded(seed, device):
    """Within it what is drawn on ``device`` begins at ``seed``; afterwards every random state is as it was. Other cards are not asked:
    ``torch.manual_seed`` reseeds them all."""
    card = getattr(torch, device.type, None) if device.type in ("cuda", "xpu", "mps") else None
    at = () if device.type == "mps" else (device,)  # of which there is one
    state, on_card = torch.default_generator.get_state(), card.get_rng_state(*at) if card else None
    seed = seeds.wrap(seed)  # later attempts count up from the seed
    try:
        torch.default_generator.manual_seed(seed)
        if card:
            with card.device(device) if at else contextlib.nullcontext():
                card.manual_seed(seed)
        yield
    finally:
        torch.default_generator.set_state(state)
        if card:
            card.set_rng_state(on_card, *at)


@dataclass(frozen=True)
class LocalRewriter:
    """A ChatRewriter on a model of the ``models/LLM`` folder."""

    path: str
    model_name: str
    max_length: int
    temperature: float
    keep_loaded: bool = False

    @property
    def name(self):
        return f"local LLM {self.model_name}"

    async def chat(self, messages, *, temperature=None, seed=0, banned=()):
        # Not in a thread: the host's model management belongs to the thread that executes nodes, and the stop button works from its own.
        temperature = self.temperature if temperature is None else temperature
        with self._told():
            return generate(load(self.path), messages, self.max_length, temperature, seed, tuple(banned))

    async def chat_all(self, conversations, *, seed=0, banned=()):
        """See `protocol.CrowdRewriter`."""
        with self._told():
            banned = banned or [()] * len(conversations)
            return generate_all(load(self.path), conversations, self.max_length, 0.0, seed, banned)

    async def draw_all(self, conversations, *, temperature, drawn_from, banned=()):
        """See `protocol.DrawingRewriter`."""
        with self._told():
            banned, drawn = (banned or [()] * len(conversations), [Drawn(temperature, seed) for seed in drawn_from])
            return generate_all(load(self.path), conversations, self.max_length, 0.0, 0, banned, drawn)

    async def judge(self, messages, *, seed=0):
        """See `protocol.JudgingRewriter`. A model that begins with something else than yes or no is asked for its words."""
        (heard,) = await self.judge_all([messages])
        if heard.told:
            return heard
        with self._told():
            return verdict(generate(load(self.path), messages, max(8, self.max_length), 0.0, seed, ()))

    async def judge_all(self, conversations, *, seed=0):
        """See `protocol.CrowdJudge`."""
        with self._told():
            return [verdict(*one) for one in first_words(load(self.path), conversations)]

    @contextlib.contextmanager
    def _told(self):
        """What goes wrong within it, as a RewriterError that names this model."""
        try:
            yield
        except RewriterError as error:
            raise RewriterError(f"{self.name}: {error}") from error
        except OSError as error:
            raise RewriterError(
                f"{self.name}: its files cannot be read ({error.strerror or error}). Choose it again."
            ) from error
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            free()
            raise RewriterError(
                f"{self.name}: not enough memory. Use a smaller model, or close what else uses the memory."
            ) from error

    def release(self):
        if not self.keep_loaded:
            free()


def rewriter(model_name, max_length, temperature, keep_loaded=False):
    """A LocalRewriter; the model is loaded by its first answer. Raises ValueError for a name that is not on the list."""
    return LocalRewriter(llm_folder.path_of(model_name), model_name, max_length, temperature, keep_loaded)
