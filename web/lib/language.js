// The page's own words, in English or Chinese: what the browser asks for first of the two.

const CHINESE = {
  "Questions and triples": "提问与三元组",
  "Two small models read Chinese texts in this browser. Nothing is uploaded.": "两个小模型在这个浏览器里阅读中文，什么也不上传。",
  "Loading the models …": "正在加载模型……",
  "Loading the models: {0} of {1} MB": "正在加载模型：{0} / {1} MB",
  Question: "问题",
  Triples: "三元组",
  Text: "文章",
  Ask: "提问",
  Extract: "抽取",
  Answer: "答案",
  Score: "得分",
  Subject: "主体",
  Predicate: "关系",
  Object: "客体",
  "No answer found.": "没有找到答案。",
  "No triples found.": "没有找到三元组。",
  "The text may not hold the answer; this is the best guess.": "文中可能没有答案，这是最好的猜测。",
  "{0} is empty.": "{0}是空的。",
  "{0} holds half a surrogate pair, which is no character. It was probably cut within an emoji.":
    "{0}里有半个代理对（surrogate），不成字符，可能是从一个表情符号中间截断的。",
  "{0} has {1} characters; at most {2} are read here.": "{0}有 {1} 个字，这里最多读 {2} 个。",
  "The page is stored in this browser and works without a network.": "网页已存在这个浏览器里，没有网络也能使用。",
  "Works without a network only over https or from this machine.": "只有通过 https 或从本机打开，才能在没有网络时使用。",
};

const wanted = (navigator.languages ?? [navigator.language]).find((name) => /^(zh|en)\b/i.test(name)) ?? "en";
export const language = /^zh/i.test(wanted) ? "zh" : "en";

/** English words in the page's language, with {0}, {1}, ... filled in. */
export function words(english, ...values) {
  const text = (language === "zh" && CHINESE[english]) || english;
  return text.replace(/\{(\d)\}/g, (_, number) => values[number]);
}

/** Put the words of a document that have `data-words` into the page's language. */
export function translate(page) {
  page.documentElement.lang = language;
  page.title = words(page.title);
  for (const node of page.querySelectorAll("[data-words]")) node.textContent = words(node.textContent);
}
