"use strict";

// The items of a comparison: found, listed a page at a time, and opened one by one.
// The data stands in #data: JSON, compressed, in base 64 (promptkit/report/page_data.py).

const PER_PAGE = 50;
const LOW_MARGIN = 0.1; // nats
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/u;
const QUIET = { "\n": "↵", "\t": "⇥", " ": "·", "\u200c": "⟨ZWNJ⟩", "\u200d": "⟨ZWJ⟩" };

const find = (selector) => document.querySelector(selector);

/** An element with attributes and children; texts are never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const unseen = (text) => make("span", { class: "unseen" }, text);
const messages = JSON.parse(document.getElementById("messages")?.textContent ?? "{}");
const forms = new Intl.PluralRules(document.documentElement.lang);
const tr = (message, values = {}) =>
  (messages[message] ?? message).replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
const counted = (n, one, many) => {
  const [single, several] = messages[`${one}|${many}`] ?? [one, many];
  return `${n.toLocaleString("en")} ${forms.select(n) === "one" ? single : several}`;
};

const percent = (p) => `${p > 0 && p < 0.005 ? "<1" : Math.round(100 * p)} %`;

async function read() {
  const bytes = Uint8Array.from(atob(find("#data").textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// --- What is known of the predictions ------------------------------------------------------------

class Items {
  constructor(data) {
    Object.assign(this, data);
    const column = (name) => data.columns[name] ?? new Array(data.size).fill(0);
    this.of = Object.fromEntries(data.names.map((name) => [name, column(name)]));
    this.counts = [...new Set(this.of.shots)].sort((a, b) => a - b);
    this.seeds = [...new Set(this.of.seed)].sort((a, b) => a - b);
    this.predictions = data.queries.map(() => []);
    this.of.query.forEach((query, index) => this.predictions[query].push(index));
    this.texts = data.queries.map(([id, text]) => `${text}\n${id}`.toLowerCase());
  }

  label(number) {
    return number === null || number === undefined ? null : this.labels[number];
  }

  /** Label and probability, the likeliest first; null where the answer was generated. */
  probabilities(index, method) {
    const flat = method < 0 ? this.of.probs[index] : this.of.calibrated[index][method];
    if (!flat) return null;
    const pairs = [];
    for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at], flat[at + 1] / 1000]);
    return pairs;
  }

  said(index, method) {
    if (method < 0) return this.of.said[index];
    const flat = this.of.calibrated[index][method];
    return flat ? flat[0] : this.of.said[index];
  }

  right(index, method) {
    if (method < 0) return this.of.right[index] === 1;
    return this.said(index, method) === this.queries[this.of.query[index]][2];
  }

  isClose(index) {
    const margin = this.of.margin[index];
    return this.of.nearTie[index] === 1 || (typeof margin === "number" && this.of.probs[index] && margin < LOW_MARGIN);
  }

  /** What a query's answers come to under the filters. */
  summary(query, want) {
    const per = new Map();
    let wrong = false, close = false, least = Infinity, all = 0, hits = 0;
    const answers = new Map();
    for (const index of this.predictions[query]) {
      if (want.line !== null && this.of.line[index] !== want.line) continue;
      const shots = this.of.shots[index];
      const right = this.right(index, want.method);
      const place = per.get(shots) ?? { right: 0, all: 0 };
      place.all += 1;
      place.right += right;
      per.set(shots, place);
      const key = `${this.of.line[index]} ${shots}`;
      const tally = answers.get(key) ?? new Map();
      const said = this.said(index, want.method);
      tally.set(said, (tally.get(said) ?? 0) + 1);
      answers.set(key, tally);
      if (want.shots !== null && shots !== want.shots) continue;
      all += 1;
      hits += right;
      wrong ||= !right;
      close ||= this.isClose(index);
      if (this.of.probs[index]) least = Math.min(least, this.of.margin[index] ?? Infinity);
    }
    return { query, per, wrong, close, least, share: all ? hits / all : 1, changed: changes(answers) };
  }

  /** A block's text and what it belongs to, per block of a prompt; null where it was not kept. */
  prompt(index) {
    const places = this.prompts[this.of.prompt[index]];
    return places ? places.map((place) => this.blocks[place]) : null;
  }
}

/** Whether the commonest answer changes with the shots, within one cell, shots aside. */
function changes(answers) {
  const common = new Map();
  for (const [key, tally] of answers) {
    const line = key.split(" ")[0];
    let best = null, most = 0;
    for (const [said, times] of tally) if (times > most) [best, most] = [said, times];
    if (common.has(line) && common.get(line) !== best) return true;
    common.set(line, best);
  }
  return false;
}

// --- Filters -------------------------------------------------------------------------------------

function wanted(form) {
  const fields = new FormData(form);
  const number = (name) => (fields.get(name) ? Number(fields.get(name)) : null);
  return {
    text: (fields.get("text") ?? "").toLowerCase().trim(),
    wrong: fields.has("wrong"),
    changed: fields.has("changed"),
    close: fields.has("close"),
    gold: number("gold"),
    line: number("line"),
    shots: number("shots"),
    method: number("method") ?? -1,
    sort: fields.get("sort") ?? "",
  };
}

function matches(items, want) {
  const found = [];
  for (let query = 0; query < items.queries.length; query += 1) {
    if (want.gold !== null && items.queries[query][2] !== want.gold) continue;
    if (want.text && !items.texts[query].includes(want.text)) continue;
    const one = items.summary(query, want);
    if (want.wrong && !one.wrong) continue;
    if (want.changed && !one.changed) continue;
    if (want.close && !one.close) continue;
    found.push(one);
  }
  if (want.sort === "margin") found.sort((a, b) => a.least - b.least);
  if (want.sort === "wrong") found.sort((a, b) => a.share - b.share);
  return found;
}

// --- The list ------------------------------------------------------------------------------------

class Explorer {
  constructor(items) {
    this.items = items;
    this.form = find("#filters");
    this.list = find("#list");
    this.page = 0;
    this.form.addEventListener("input", () => this.filter());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    find("#clear").addEventListener("click", () => {
      this.form.reset();
      this.filter();
    });
    find("#before").addEventListener("click", () => this.turn(-1));
    find("#after").addEventListener("click", () => this.turn(1));
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.filter();
    this.openNamed();
  }

  /** Opens the item that the address names, such as report.html#item=apple-1f. */
  openNamed() {
    const id = decodeURIComponent(location.hash.match(/^#item=(.*)$/)?.[1] ?? "");
    const at = this.found.findIndex((one) => this.items.queries[one.query][0] === id);
    if (at < 0) return;
    this.page = Math.floor(at / PER_PAGE);
    this.show();
    const row = this.list.querySelectorAll(".row")[at % PER_PAGE];
    row.click();
    requestAnimationFrame(() => row.scrollIntoView());
  }

  filter() {
    this.want = wanted(this.form);
    this.found = matches(this.items, this.want);
    this.page = 0;
    const all = counted(this.items.queries.length, "query", "queries");
    const found = this.found.length.toLocaleString("en");
    find("#count").textContent = this.found.length === this.items.queries.length ? all : tr("{found} of {all}", { found, all });
    this.show();
  }

  turn(by) {
    this.page += by;
    this.show();
    this.list.querySelector("button")?.focus();
  }

  show() {
    const start = this.page * PER_PAGE;
    const shown = this.found.slice(start, start + PER_PAGE);
    this.list.replaceChildren(...shown.map((one) => this.row(one)));
    const pages = Math.ceil(this.found.length / PER_PAGE);
    find("#pager").hidden = pages < 2;
    find("#before").disabled = this.page === 0;
    find("#after").disabled = this.page >= pages - 1;
    find("#place").textContent =
      tr("{first} to {last}", { first: (start + 1).toLocaleString("en"), last: (start + shown.length).toLocaleString("en") });
  }

  row(one) {
    const [id, text, gold] = this.items.queries[one.query];
    const strip = make("span", { class: "shots" }, ...this.items.counts.map((n) => mark(n, one.per.get(n))));
    const button = make(
      "button", { type: "button", class: "row", "aria-expanded": "false" },
      make("span", { class: "asked", dir: "auto" }, ...visible(beginning(text || id))),
      unseen(tr(", gold ")), make("span", { class: "gold", dir: "auto" }, ...visible(this.items.label(gold) ?? "–")), strip,
    );
    const line = make("li", {}, button);
    button.addEventListener("click", () => this.toggle(button, one.query));
    return line;
  }

  toggle(button, query) {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) button.nextSibling.remove();
    else button.after(new Detail(this.items, query, this.want).element);
    const name = open ? "answers" : `item=${encodeURIComponent(this.items.queries[query][0])}`;
    history.replaceState(null, "", `#${name}`); // so that the address can be passed on
  }

  key(event) {
    const rows = [...this.list.querySelectorAll(".row")];
    const line = event.target.closest("li");
    const own = line?.querySelector(".row");
    if (event.key === "Escape" && own?.getAttribute("aria-expanded") === "true") {
      own.click();
      own.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && event.target === own) {
      rows[rows.indexOf(own) + step]?.focus();
      event.preventDefault();
    }
  }
}

/** How many of the answers with so many shots are right: a sign, or a share. */
function mark(count, place) {
  if (!place) return make("span", {}, "");
  const { right, all } = place;
  const kind = right === all ? "all" : right === 0 ? "none" : "some";
  const sign = { all: "✓", none: "✗", some: `${right}/${all}` }[kind];
  return make("span", { class: kind }, unseen(`, ${counted(count, "shot", "shots")}: `), sign);
}

// --- An open item --------------------------------------------------------------------------------

class Detail {
  constructor(items, query, want) {
    this.items = items;
    this.query = query;
    this.own = items.predictions[query];
    this.method = want.method;
    const fits = (index) => want.line === null || items.of.line[index] === want.line;
    const first = this.own.find(fits) ?? this.own[0];
    this.line = items.of.line[first];
    this.seed = items.of.seed[first];
    const counts = this.choices("shots");
    this.shots = want.shots ?? counts[counts.length - 1];
    this.element = make("div", { class: "detail", role: "region", "aria-label": tr("Query {id}", { id: items.queries[query][0] }) });
    this.show();
  }

  choices(name) {
    return [...new Set(this.own.map((index) => this.items.of[name][index]))].sort((a, b) => a - b);
  }

  at(shots) {
    const { line, shots: counts, seed } = this.items.of;
    return this.own.find((i) => line[i] === this.line && counts[i] === shots && seed[i] === this.seed);
  }

  show() {
    const index = this.at(this.shots);
    const main = make("div", { class: "main" });
    const side = make("div", { class: "side" });
    if (index !== undefined) {
      main.append(this.prompt(index));
      side.append(this.probabilities(), ...this.before("rationale"), ...this.before("thought"), ...this.votes(index), this.demonstrations(index), this.facts(index));
    }
    this.element.replaceChildren(this.chooser(), main, side);
  }

  chooser() {
    const { lines, methods } = this.items;
    const box = make("div", { class: "choose" });
    const add = (title, name, options) => {
      if (options.length < 2) return;
      const select = make("select", { "data-name": name });
      for (const [value, text] of options) {
        select.append(make("option", { value, selected: value === this[name], dir: "auto" }, text));
      }
      select.addEventListener("change", () => {
        this[name] = Number(select.value);
        this.show();
        this.element.querySelector(`[data-name="${name}"]`)?.focus();
      });
      box.append(make("label", {}, title, select));
    };
    add(tr("Shots"), "shots", this.choices("shots").map((n) => [n, counted(n, "shot", "shots")]));
    add(tr("Draw of shots"), "seed", this.choices("seed").map((n) => [n, tr("seed {n}", { n })]));
    add(tr("Cell"), "line", this.choices("line").map((n) => [n, lines[n]]));
    add(tr("Probabilities"), "method", [[-1, tr("raw")], ...methods.map((name, n) => [n, name])]);
    return box;
  }

  probabilities() {
    const { items } = this;
    const gold = items.queries[this.query][2];
    const counts = this.choices("shots").filter((n) => this.at(n) !== undefined);
    const columns = counts.map((n) => new Map(items.probabilities(this.at(n), this.method) ?? []));
    const rows = [...new Set(columns.flatMap((column) => [...column.keys()]))];
    if (!rows.length) return this.generated(counts);
    const most = (label) => Math.max(...columns.map((column) => column.get(label) ?? 0));
    rows.sort((a, b) => (b === gold) - (a === gold) || most(b) - most(a));
    const head = make("tr", {}, make("td", {}), ...counts.map((n) => make("th", { scope: "col", class: this.now(n) }, counted(n, "shot", "shots"))));
    const body = rows.slice(0, 12).map((label) => make(
      "tr", {},
      make("th", { scope: "row" }, make("bdi", {}, ...visible(items.label(label))), label === gold ? tr(" (gold)") : ""),
      ...columns.map((column, at) => {
        const said = items.said(this.at(counts[at]), this.method) === label;
        return this.share(column.get(label), said, label === gold, counts[at]);
      }),
    ));
    const table = make("table", { class: "probs" }, make("thead", {}, head), make("tbody", {}, ...body));
    const title = items.of.text[this.at(this.shots)] ? tr("Share of the votes") : tr("Probability of each label");
    return make("section", {}, make("h3", {}, title), make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": tr("Probabilities") }, table));
  }

  now(count) {
    return count === this.shots ? "now" : null;
  }

  share(p, said, gold, count) {
    const kind = `${this.now(count) ?? ""} ${said ? "said" : ""} ${gold ? "right" : ""}`;
    if (p === undefined) return make("td", { class: kind }, "–");
    const bar = make("span", { class: "bar" });
    bar.style.width = `${Math.round(100 * p)}%`; // a style attribute would need a looser policy
    const sign = said ? (gold ? "✓ " : "✗ ") : "";
    return make("td", { class: kind }, `${sign}${percent(p)}`, bar);
  }

  generated(counts) {
    const { items } = this;
    const rows = counts.map((n) => {
      const index = this.at(n);
      const answer = items.label(items.of.said[index]);
      const text = items.of.text[index];
      return make("tr", {}, make("th", { scope: "row", class: this.now(n) }, counted(n, "shot", "shots")),
        make("td", {}, make("span", { class: items.right(index, -1) ? "good" : "bad", dir: "auto" }, ...visible(answer ?? tr("no answer")))),
        make("td", { class: "text", dir: "auto" }, ...visible(typeof text === "string" ? text : "")));
    });
    const head = make("tr", {}, make("td", {}), make("th", { scope: "col" }, tr("answer")), make("th", { scope: "col" }, tr("text or failure")));
    return make("section", {}, make("h3", {}, tr("Answers")),
      make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": tr("Answers of this query") },
        make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
  }

  /** The thoughts or rationales before the answers; nothing where there are none. */
  before(name) {
    const texts = this.items.of[name];
    const counts = this.choices("shots").filter((n) => this.at(n) !== undefined);
    if (counts.every((n) => typeof texts[this.at(n)] !== "string")) return [];
    const rows = counts.map((n) => make("tr", {}, make("th", { scope: "row", class: this.now(n) }, counted(n, "shot", "shots")),
      make("td", { class: "text", dir: "auto" }, ...visible(texts[this.at(n)] || ""))));
    const table = make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name === "rationale" ? tr("Rationales of this query") : tr("Thoughts of this query") },
      make("table", {}, make("tbody", {}, ...rows)));
    if (name === "rationale") return [make("section", {}, make("h3", {}, tr("Rationale before the answer")), table)];
    return [make("details", {}, make("summary", {}, tr("Thought before the answer")), table)];
  }

  /** The samples that voted for an answer, folded; nothing where none did. */
  votes(index) {
    const votes = this.items.of.votes[index];
    if (!votes || !votes.length) return [];
    const { items } = this;
    const rows = votes.map(([said, failure, thought, rationale]) => make("tr", {},
      make("th", { scope: "row" }, make("bdi", {}, ...visible(items.label(said) ?? failure))),
      make("td", { class: "text", dir: "auto" }, ...(thought ? [make("div", { class: "dim", dir: "auto" }, ...visible(thought))] : []), ...visible(rationale || ""))));
    const agree = votes.filter(([said]) => said === items.said(index, -1)).length;
    return [make("details", {}, make("summary", {}, tr("Samples: {agree} of {all} gave this answer", { agree, all: votes.length })),
      make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": tr("Samples of this query") },
        make("table", {}, make("tbody", {}, ...rows))))];
  }

  prompt(index) {
    const blocks = this.items.prompt(index);
    const title = make("h3", {}, tr("The exact prompt"));
    if (!blocks) {
      return make("section", {}, title, make("p", { class: "dim" }, tr("It was not kept with this run.")));
    }
    const code = make("code");
    const spaces = make("input", { type: "checkbox" });
    const fill = () => code.replaceChildren(...this.spans(index, blocks, spaces.checked));
    spaces.addEventListener("change", fill);
    fill();
    const said = this.items.label(this.items.said(index, this.method));
    const pre = make("pre", { class: "prompt", dir: "auto", tabindex: "0", role: "region", "aria-label": tr("The exact prompt") }, code,
      make("span", { class: "slot", dir: "auto" }, ...visible(said ?? tr("answer"))));
    const legend = make("p", { class: "legend" }, ...this.legend(index, blocks), make("label", {}, spaces, tr("white space")));
    return make("section", {}, title, legend, pre);
  }

  /** Whose a block is, as a class: the template's, the task's, a shot's, the query's, the chat's. */
  owner(index, example) {
    const shots = this.shotIds(index);
    if (example === null) return null;
    const at = shots.indexOf(example);
    if (at >= 0) return at % 2 ? "even" : "odd";
    return example === this.items.queries[this.query][0] ? "asks" : "task";
  }

  shotIds(index) {
    return (this.items.draws[this.items.of.draw[index]] ?? []).map((number) => this.items.ids[number]);
  }

  spans(index, blocks, spaces) {
    return blocks.flatMap(([example, runs]) => runs.map(([source, text]) => {
      const span = make("span", { class: `${this.part(index, example, source)}${source === "data" ? " data" : ""}` });
      span.append(...visible(text, spaces));
      return span;
    }));
  }

  part(index, example, source) {
    if (source === "chat") return "chat";
    return this.owner(index, example) ?? (source === "data" ? "task" : "template");
  }

  legend(index, blocks) {
    const names = { chat: tr("chat template"), template: tr("template"), task: tr("task"), odd: tr("shots"), even: tr("shots"), asks: tr("query") };
    const parts = new Set(blocks.flatMap(([example, runs]) => runs.map(([source]) => this.part(index, example, source))));
    if (parts.has("odd")) parts.delete("even");
    return [...parts].map((part) => make("span", { class: part }, names[part]));
  }

  demonstrations(index) {
    const ids = this.shotIds(index);
    if (!ids.length) return "";
    const texts = new Map();
    for (const [example, runs] of this.items.prompt(index) ?? []) {
      const text = runs.map((run) => run[1]).join("");
      texts.set(example, texts.has(example) ? `${texts.get(example)}\n${text}` : text);
    }
    const lines = ids.map((id) => make("li", { title: id }, ...visible((texts.get(id) ?? id).trim())));
    return make("section", {}, make("h3", {}, tr("Shots, in order")), make("ol", { class: "used" }, ...lines));
  }

  facts(index) {
    const { of, shas, queries } = this.items;
    const facts = [[tr("query"), queries[this.query][0]], [tr("prompt"), counted(of.tokens[index], "token", "tokens")]];
    // Shares of the votes have no margin in nats, and are of no labels.
    if (this.items.probabilities(index, -1) && typeof of.text[index] !== "string") {
      facts.push([tr("margin"), tr("{n} nats", { n: of.margin[index] }) + (of.nearTie[index] ? tr(", a near-tie") : "")]);
      facts.push([tr("coverage"), tr("{share} of all probability is on the labels", { share: percent(of.coverage[index]) })]);
    }
    this.items.measured.forEach((name, at) => {
      const value = of.measures[index]?.[at] ?? null;
      if (value !== null) facts.push([name, percent(value)]);
    });
    facts.push(["SHA-256", `${shas[of.prompt[index]]}…`]);
    return make("dl", { class: "meta" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, value)]));
  }
}

/** As much of a long text as a line of the list shows. */
function beginning(text) {
  if (text.length <= 400) return text;
  const characters = new Intl.Segmenter().segment(text.slice(0, 500)); // as people see them
  const { index } = characters.containing(399);
  return `${text.slice(0, index > 300 ? index : 399)}…`;
}

/** A text as nodes that hold exactly it, with marks beside what cannot be seen. */
function visible(text, spaces = false) {
  const nodes = [];
  let seen = "";
  for (const char of text) {
    const sign = signOf(char, spaces);
    if (sign === null) {
      seen += char;
      continue;
    }
    if (seen) nodes.push(seen);
    seen = "";
    nodes.push(make("i", { "data-mark": sign }, char));
  }
  if (seen) nodes.push(seen);
  return nodes;
}

function signOf(char, spaces) {
  if (Object.hasOwn(QUIET, char)) return spaces ? QUIET[char] : null;
  if (!UNSEEN.test(char)) return null;
  return `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

async function start() {
  const explorer = find("#explorer");
  if (!explorer) return;
  try {
    new Explorer(new Items(await read()));
    explorer.hidden = false;
    find("#waiting").remove();
  } catch (error) {
    find("#waiting").textContent = tr("The items cannot be shown: {reason}. predictions.jsonl has them.", { reason: error.message });
  }
}

start();
