// What the rating page says, in the front end's languages that the pack knows.
const EN = {
  tab: "Rate", title: "Rate pictures", sets: "Feedback sets", none: "No sets yet. Run a graph with Rate Images, or import a set.",
  open: "Rate", pictures: "pictures", importSet: "Import a set (zip)", exportSet: "Export (zip)", refresh: "Read again", close: "Close",
  question: "How much does this show {concept}?", which: "Which shows more {concept}?", thing: "the concept",
  scale: ["not at all", "a trace", "partly", "clearly", "entirely"], rater: "Your nickname", set: "Set", mode: "Mode",
  single: "One by one", pairs: "In pairs", previous: "Back", next: "Skip", undo: "Undo", reveal: "Show", hide: "Blur", always: "Do not blur",
  left: "Left", right: "Right", equal: "Alike", progress: "{done} of {all}", compared: "{done} compared",
  agreement: "Agreement {alpha} on {count} pictures", agreementNone: "Agreement: nobody else has rated these yet",
  saved: "Saved.", unsaved: "{count} not saved yet. The server does not answer; trying again …", unsavedWhy: "{count} not saved yet ({reason}); trying again …",
  strange: "what answers is not ComfyUI: log in again in another tab", unstored: "This browser stores nothing: leave the page when all is saved.",
  noName: "Give set_name a name and run the graph first.", linked: "set_name comes from another node: choose the set in the side bar's tab.",
  refused: "Not saved: {reason}",
  undone: "Taken back.", nothing: "Nothing to take back.", complete: "All pictures are rated.", blurred: "Blurred. Space shows it.",
  failed: "That did not work: {reason}", name: "A name for the set", replace: "There is a set called {name}. Replace it? The old one is kept aside.",
  imported: "{pictures} pictures taken in.", badRater: "Give a nickname of letters and digits first.",
  keys: "Keys: 0–4 rate · Space show · ← back · → skip · U undo", pairKeys: "Keys: ← left · → right · ↓ alike · Space show · S skip · U undo",
  button: "Rate these pictures",
};
const ZH = {
  tab: "评分", title: "为图片评分", sets: "反馈集", none: "还没有反馈集。运行含“为图片评分”的工作流，或导入一个。",
  open: "评分", pictures: "张图片", importSet: "导入反馈集（zip）", exportSet: "导出（zip）", refresh: "重新读取", close: "关闭",
  question: "这张图在多大程度上显示了{concept}？", which: "哪一张更多地显示了{concept}？", thing: "该概念",
  scale: ["完全没有", "一点点", "部分", "明显", "完全"], rater: "你的昵称", set: "反馈集", mode: "方式",
  single: "逐张", pairs: "成对比较", previous: "返回", next: "跳过", undo: "撤销", reveal: "显示", hide: "模糊", always: "不要模糊",
  left: "左", right: "右", equal: "相同", progress: "第 {done} / {all}", compared: "已比较 {done} 次",
  agreement: "一致性 {alpha}（{count} 张）", agreementNone: "一致性：还没有其他人评分",
  saved: "已保存。", unsaved: "{count} 条尚未保存。服务器没有应答，正在重试……", unsavedWhy: "{count} 条尚未保存（{reason}），正在重试……",
  strange: "应答的不是 ComfyUI：请在另一个标签页重新登录", unstored: "此浏览器不保存任何内容：全部保存后再离开页面。",
  noName: "请先填写 set_name 并运行工作流。", linked: "set_name 来自另一个节点：请在侧边栏中选择反馈集。",
  refused: "未保存：{reason}",
  undone: "已撤销。", nothing: "没有可撤销的。", complete: "所有图片均已评分。", blurred: "已模糊，按空格显示。",
  failed: "失败：{reason}", name: "反馈集名称", replace: "已有名为 {name} 的反馈集。要替换吗？旧的会另行保留。",
  imported: "已导入 {pictures} 张图片。", badRater: "请先填写由字母和数字组成的昵称。",
  keys: "按键：0–4 评分 · 空格 显示 · ← 返回 · → 跳过 · U 撤销", pairKeys: "按键：← 左 · → 右 · ↓ 相同 · 空格 显示 · S 跳过 · U 撤销",
  button: "为这些图片评分",
};

let table = EN;

export function choose(locale) {
  table = String(locale ?? "").startsWith("zh") ? ZH : EN;
}

export function say(key, values = {}) {
  const text = table[key] ?? EN[key];
  return typeof text === "string" ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "") : text;
}
