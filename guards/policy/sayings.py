"""What users are told when a policy stops something: the reason and the mend, in the languages of the pack."""

from __future__ import annotations

from dataclasses import dataclass, field

ENGLISH, CHINESE = LANGUAGES = ("en", "zh")
SAYINGS = {  # key -> the sentence in each of LANGUAGES
    "no graph": ("The prompt is no graph of nodes: queue a workflow.", "提交的内容不是节点图：请提交一个工作流。"),
    "unread": (
        "The prompt could not be read ({fault}): queue a workflow as ComfyUI's page does.",
        "无法读取提交的内容（{fault}）：请像 ComfyUI 页面那样提交工作流。",
    ),
    "unguarded": (
        "The prompt could not be guarded ({fault}): take nodes out until it can, and tell the operator.",
        "无法为这个工作流加上防护（{fault}）：请移除一些节点后重试，并告知管理员。",
    ),
    "nodes": (
        "The graph has {count} nodes, at most {most} are allowed: take some out.",
        "这个工作流有 {count} 个节点，最多允许 {most} 个：请移除一些节点。",
    ),
    "no class": ("Node {node} has no class: put it in again.", "节点 {node} 没有类型：请重新添加它。"),
    "inputs": (
        "The inputs of node {node} are no object: put the node in again.",
        "节点 {node} 的输入格式不对：请重新添加它。",
    ),
    "id": (
        "Node ids that begin with {prefix} are the policy's own: rename node {node}.",
        "以 {prefix} 开头的节点编号由策略保留：请给节点 {node} 改编号。",
    ),
    "internal": (
        "{class_type} is put in by the server: take node {node} out.",
        "{class_type} 由服务器自动加入：请移除节点 {node}。",
    ),
    "class": (
        "Nodes of the class {class_type} are not allowed here: take node {node} out.",
        "这里不允许使用 {class_type} 类型的节点：请移除节点 {node}。",
    ),
    "cloud": (
        "{class_type} calls a cloud service, which is not allowed here: take node {node} out.",
        "{class_type} 会调用云服务，这里不允许：请移除节点 {node}。",
    ),
    "hidden link": (
        "Input {key} of node {node} hides a link: connect it plainly.",
        "节点 {node} 的输入 {key} 隐藏了一条连线：请直接连接。",
    ),
    "slot": (
        "Input {key} of node {node} names output {slot}: an output is a whole number from 0.",
        "节点 {node} 的输入 {key} 指向输出 {slot}：输出编号必须是从 0 开始的整数。",
    ),
    "circle": (
        "The graph's links go round in a circle: take one of them out.",
        "工作流的连线形成了环：请断开其中一条。",
    ),
    "long": (
        "The graph's texts have more than {most} characters: shorten them.",
        "工作流中的文字超过 {most} 个字符：请缩短。",
    ),
    "wish": (
        "Input {key} of node {node} asks for {concept}, which is not allowed here: ask for something else.",
        "节点 {node} 的输入 {key} 要求生成“{concept}”，这里不允许：请换成别的内容。",
    ),
    "made wish": (
        "A text that was made while the graph ran asks for {concept}, which is not allowed here: ask for something else.",
        "工作流运行时生成的文字要求“{concept}”，这里不允许：请换成别的内容。",
    ),
    "file": (
        "Input {key} of node {node} names {file}, which is not one of the {kind} allowed here: choose {allowed}.",
        "节点 {node} 的输入 {key} 使用了 {file}，它不在这里允许的 {kind} 之中：请选择 {allowed}。",
    ),
    "linked file": (
        "Input {key} of node {node} gets the name of a file by a link, which is not allowed here: choose the file on the node.",
        "节点 {node} 的输入 {key} 通过连线得到文件名，这里不允许：请直接在节点上选择文件。",
    ),
    "made file": (
        "A text that was made while the graph ran names the embedding {file}, which is not allowed here: choose {allowed}.",
        "工作流运行时生成的文字使用了嵌入 {file}，这里不允许：请选择 {allowed}。",
    ),
    "upload": (
        "Input {key} of node {node} brings a picture along, which is not allowed here: have it made from a text.",
        "节点 {node} 的输入 {key} 会带入图片，这里不允许：请用文字生成图片。",
    ),
    "encoder": (
        "No text encoder can be found for node {node}: connect a CLIP Text Encode node whose clip comes from a loader.",
        "找不到节点 {node} 的文本编码器：请连接 CLIP 文本编码节点，其 clip 来自加载器。",
    ),
    "no encoder": (
        "No text encoder belongs to this model here, so it cannot be guarded: connect a CLIP Text Encode node whose clip comes "
        "from a loader.",
        "这个模型没有对应的文本编码器，因此无法防护：请连接 CLIP 文本编码节点，其 clip 来自加载器。",
    ),
    "steps": (
        "This sampler takes {steps} steps, at least {least} are needed here: raise its steps.",
        "这个采样器只走 {steps} 步，这里至少需要 {least} 步：请增加步数。",
    ),
    "picture": (
        "The picture shows what is not allowed here, so it was stopped: ask for something else.",
        "图片中有这里不允许的内容，已被拦截：请换成别的内容。",
    ),
    "unchecked": (
        "The pictures cannot be looked at, so they were stopped; tell the operator: {fault}",
        "无法检查图片，因此已被拦截；请告知管理员：{fault}",
    ),
    "tripwire": (
        "A node runs the model in a way that cannot be guarded. Sample with KSampler, SamplerCustom or SamplerCustomAdvanced.",
        "有节点以无法防护的方式运行模型。请使用 KSampler、SamplerCustom 或 SamplerCustomAdvanced 采样。",
    ),
    "changed": ("The policy has changed since this was queued: queue it again.", "提交之后策略已经改变：请重新提交。"),
    "gone": (
        "The policy's file is gone. Put it back; to go on without a policy, start the server again.",
        "策略文件不见了。请把它放回去；若要不使用策略，请重新启动服务器。",
    ),
    "gone from the variable": (
        "The policy's file, which the environment variable CONCEPT_GUARDS_POLICY names, is not there. Put it back, or mend the variable; "
        "to go on without a policy, unset it and start the server again.",
        "环境变量 CONCEPT_GUARDS_POLICY 指定的策略文件不存在。请把它放回去或修正该变量；若要不使用策略，请取消该变量并重新启动服务器。",
    ),
    "unusable": (
        "The policy's file cannot be used, so nothing may run; tell the operator: {fault}",
        "策略文件无法使用，因此什么都不能运行；请告知管理员：{fault}",
    ),
    "unrecorded": (
        "The policy's record cannot be written ({fault}), so nothing may run; tell the operator.",
        "策略的记录无法写入（{fault}），因此什么都不能运行；请告知管理员。",
    ),
}
ASK = ("Ask: {contact}.", "请联系：{contact}。")
RULE = ("(rule: {rule})", "（规则：{rule}）")


@dataclass(frozen=True)
class Refusal:
    """Why a graph, a run or a picture was stopped: the rule's name, which of SAYINGS with what values, and the node it is about."""

    rule: str
    saying: str
    node: str = ""
    class_type: str = ""
    values: dict[str, object] = field(default_factory=dict)

    def reason(self, language: str = ENGLISH) -> str:
        values = {"node": self.node, "class_type": self.class_type, **self.values}
        return SAYINGS[self.saying][LANGUAGES.index(language)].format(**values)

    def sentence(self, message: str = "", contact: str = "", language: str = ENGLISH) -> str:
        """The whole message: the reason, the operator's own sentence, whom to ask, and the rule's name."""
        which = LANGUAGES.index(language)
        ask = ASK[which].format(contact=contact) if contact else ""
        return " ".join(filter(None, [self.reason(language), message, ask, RULE[which].format(rule=self.rule)]))


def spoken(cookie: str, accepted: str) -> str:
    """The language of whoever asks: of the page's cookie, else the first of LANGUAGES that the browser accepts, else English."""
    ranked = []
    for number, part in enumerate(accepted.split(",")):
        name, _, weight = part.partition(";")
        try:
            share = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            share = 0.0
        ranked.append((-share, number, name.strip()))
    for name in (cookie, *(name for share, _, name in sorted(ranked) if share < 0)):
        found = name.lower().split("-")[0]
        if found in LANGUAGES:
            return found
    return ENGLISH
