// What is seen: controls, the text as it grows, its colours, and what the model expected at the character pointed at.

const FRAME_MS = 12; // of a frame's 16 that are for writing
const CALM_MS = 400; // between two additions where motion is to be reduced
const MANY_BITS = 8; // from which on a surprise has the full colour
const $ = (id) => document.getElementById(id);
const about = JSON.parse($("model").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");

const stored = bytesOf($("weights").textContent.trim());
const model = new Model(about, about.weights === "float16" ? floatsOfHalves(stored) : new Float32Array(stored.buffer));
$("weights").textContent = "";
const tokenizer = new Tokenizer(about.tokenizer);
const text = new Text(model, tokenizer, about);

let pieces = []; // {span, from, to}: tokens from..to of the text end in what the span shows
let from = 0; // the first token that no span shows yet
let limit = 0; // tokens that the text may have
let at = -1; // the piece that is pointed at
let pinned = false; // by a tap or a click
let timer = 0;
let begun = 0; // when this writing began, and with how many tokens
let before = 0;
let seen = 0; // when the text was last added to
let missing = [];
let unit = 0; // whose activation is shown, counted through all layers

// Writing

function write() {
  const typed = $("seed").value;
  missing = text.restart($("prompt").value, {
    temperature: Number($("temperature").value),
    most: Number($("most").value) || 0,
    seed: typed === "" ? crypto.getRandomValues(new Uint32Array(1))[0] : Number(typed),
  });
  $("text").replaceChildren();
  pieces = [];
  from = 0;
  point(-1);
  limit = text.waiting.length;
  proceed();
}

function proceed() {
  // what a person changes while it rests is for what comes now
  text.settings = { ...text.settings, temperature: Number($("temperature").value), most: Number($("most").value) || 0 };
  limit += Math.max(1, Math.min(20000, Math.floor(Number($("length").value)) || 1000));
  begun = performance.now();
  before = text.tokens.length;
  state("writing");
  timer = requestAnimationFrame(frame);
}

function stop() {
  cancelAnimationFrame(timer);
  add(pending.splice(0));
  if (text.tokens.length >= limit) rest(text.decoder.flush());
  limit = text.tokens.length + (text.waiting.length - text.read);
  report();
  state("resting");
}

const pending = []; // pieces of text that are not shown yet, with their tokens

function frame() {
  const end = performance.now() + FRAME_MS;
  do {
    const given = text.reading;
    const piece = text.step();
    if (piece) {
      pending.push({ piece, given, from, to: text.tokens.length - 1 });
      from = text.tokens.length;
    }
  } while (text.tokens.length < limit && performance.now() < end);
  if (!still.matches || performance.now() - seen > CALM_MS) {
    const follows = atTheEnd();
    add(pending.splice(0));
    if (follows) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    seen = performance.now();
    report();
  }
  if (text.tokens.length < limit) timer = requestAnimationFrame(frame);
  else stop();
}

/** Whether the reader is where new text appears, having scrolled there. */
function atTheEnd() {
  return scrollY > 0 && innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
}

function add(some) {
  const fragment = document.createDocumentFragment();
  for (const { piece, given, from, to } of some) {
    const span = document.createElement("span");
    span.textContent = piece;
    if (given) span.classList.add("given");
    if (piece.includes("\n")) span.classList.add("end");
    const made = { span, from, to };
    colour(made);
    pieces.push(made);
    fragment.append(span);
  }
  $("text").append(fragment);
}

/** A character that was begun and not completed. */
function rest(piece) {
  if (!piece) return;
  add([{ piece, given: false, from, to: text.tokens.length - 1 }]);
  from = text.tokens.length;
}

function report() {
  const count = text.tokens.length;
  const rate = (count - before) / Math.max(0.001, (performance.now() - begun) / 1000);
  const unknown = missing.length
    ? ` · not known to this model, and ${text.tokenizer.unknown === null ? "left out" : "replaced"}: ${missing.slice(0, 5).map(visible).join(" ")}${missing.length > 5 ? " …" : ""}`
    : "";
  $("status").textContent = `${count.toLocaleString("en")} tokens · ${Math.round(rate).toLocaleString("en")} tokens a second${unknown}`;
}

function state(name) {
  document.body.dataset.state = name;
  $("write").textContent = name === "writing" ? "Stop" : "Write";
  $("on").disabled = name === "writing" || text.tokens.length === 0;
  $("text").setAttribute("aria-busy", String(name === "writing"));
}

// Colours

const shades = { none: () => ["", 0], surprise: surpriseOf, unit: unitOf };
let shade = shades.surprise;

/** Bits of all tokens of a piece; null where the first one had nothing before it. */
function bitsOf(piece) {
  let bits = null;
  for (let i = piece.from; i <= piece.to; i++) if (text.tokens[i].bits !== null) bits = (bits ?? 0) + text.tokens[i].bits;
  return bits;
}

function surpriseOf(piece) {
  const much = Math.min(1, (bitsOf(piece) ?? 0) / MANY_BITS);
  return [much > 0.02 ? "s" : "", much];
}

function unitOf(piece) {
  const value = text.tokens[piece.to].units[unit] / 127;
  return [value > 0 ? "p" : "n", Math.abs(value)];
}

function colour(piece) {
  const [kind, much] = shade(piece);
  const { classList, style } = piece.span;
  classList.remove("s", "p", "n");
  if (kind) classList.add(kind);
  style.setProperty("--much", much.toFixed(2));
}

function recolour() {
  const chosen = document.querySelector("input[name=colour]:checked").value;
  document.body.dataset.colour = chosen;
  shade = shades[chosen];
  pieces.forEach(colour);
  const bar = document.createElement("i");
  bar.className = chosen;
  bar.setAttribute("aria-hidden", "true");
  const [layer, number] = placeOf(unit);
  const scale = $("scale");
  if (chosen === "none") scale.replaceChildren();
  else if (chosen === "surprise") scale.replaceChildren("0", bar, `${MANY_BITS} bits and more`);
  else scale.replaceChildren("−1", bar, `1 · layer ${layer}, unit ${number}`);
  for (const input of document.querySelectorAll("input[name=listed]")) input.checked = chosen === "unit" && Number(input.value) === unit;
  $("layer").value = layer;
  $("unit").value = number;
  $("unit").max = about.hidden_sizes[layer - 1];
  if (at >= 0) say();
}

/** Layer and unit, both from 1, of a unit counted through all layers from 0. */
function placeOf(index) {
  let layer = 0;
  while (index >= about.hidden_sizes[layer]) index -= about.hidden_sizes[layer++];
  return [layer + 1, index + 1];
}

function showUnit(index) {
  unit = index;
  document.querySelector("input[name=colour][value=unit]").checked = true;
  recolour();
}

function showTyped() {
  const layer = Math.max(1, Math.min(about.hidden_sizes.length, Math.floor(Number($("layer").value)) || 1));
  const number = Math.max(1, Math.min(about.hidden_sizes[layer - 1], Math.floor(Number($("unit").value)) || 1));
  showUnit(about.hidden_sizes.slice(0, layer - 1).reduce((a, b) => a + b, 0) + number - 1);
}

function list() {
  for (const [index, label, area] of about.units) {
    const row = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "listed", value: index });
    const [layer, number] = placeOf(index);
    const what = Object.assign(document.createElement("span"), { textContent: label });
    const where = Object.assign(document.createElement("small"), { textContent: `layer ${layer}, unit ${number}` });
    const good = Object.assign(document.createElement("small"), { textContent: area.toFixed(2), className: "good" });
    good.title = "area under the curve: 1 separates all, 0.5 none";
    input.addEventListener("change", () => showUnit(index));
    row.append(input, what, good, where);
    $("list").append(row);
  }
  if (!about.units.length) $("list").textContent = "None stands out.";
  else unit = about.units[0][0];
  $("layer").max = about.hidden_sizes.length;
}

// What was expected

function point(index, keep = false) {
  if (at >= 0 && pieces[at]) pieces[at].span.classList.remove("at");
  at = index;
  pinned = keep && index >= 0;
  if (at >= 0) pieces[at].span.classList.add("at");
  say();
}

function say() {
  const rows = [];
  if (at < 0) {
    $("next-title").textContent = "What comes next?";
    $("said").textContent = "Point at a character, or tap it: the five likeliest next ones.";
    $("likeliest").replaceChildren();
    return;
  }
  const piece = pieces[at];
  const token = text.tokens[piece.to];
  const following = text.tokens[piece.to + 1];
  const read = pieces.slice(Math.max(0, at - 15), at + 1).map(({ span }) => visible(span.textContent).replaceAll("␣", " ")).join("").replace(/^.*↵(?=.)/s, "");
  $("next-title").replaceChildren("After ", Object.assign(document.createElement("code"), { textContent: Array.from(read).slice(-16).join("") }));
  for (const [id, probability] of token.likeliest) {
    const row = document.createElement("li");
    const name = Object.assign(document.createElement("b"), { textContent: tokenizer.shown(id) });
    const bar = document.createElement("i");
    bar.style.setProperty("--share", probability.toFixed(3));
    const percent = Object.assign(document.createElement("em"), { textContent: percentage(probability) });
    if (following && following.id === id) row.className = "came";
    row.append(name, bar, percent);
    rows.push(row);
  }
  $("likeliest").replaceChildren(...rows);
  const bits = bitsOf(piece);
  const itself = visible(piece.span.textContent);
  const parts = [bits === null ? `${itself}: the first` : `${itself}: ${percentage(2 ** -bits)} likely, ${bits.toFixed(1)} bits`];
  if (document.body.dataset.colour === "unit") parts.push(`unit ${(token.units[unit] / 127).toFixed(2).replace("-", "−")}`);
  const lines = [parts.join(" · "), following ? `then came ${tokenizer.shown(following.id)}` : "the last so far"];
  $("said").replaceChildren(...lines.map((line) => Object.assign(document.createElement("span"), { textContent: line })));
}

function percentage(share) {
  const percent = 100 * share;
  return percent >= 99.95 ? "100 %" : percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

function pieceUnder(event) {
  const span = event.target.closest("#text > span");
  return span ? pieces.findIndex((piece) => piece.span === span) : -1;
}

/** The piece in the line above or below that is nearest to the one pointed at. */
function besides(direction) {
  const here = pieces[at].span.getBoundingClientRect();
  let best = at;
  let line = null;
  let distance = Infinity;
  for (let i = at + direction; i >= 0 && i < pieces.length; i += direction) {
    const box = pieces[i].span.getClientRects()[0];
    if (!box || Math.abs(box.top - here.top) < 4) continue;
    if (line !== null && Math.abs(box.top - line) >= 4) break;
    line = box.top;
    if (Math.abs(box.left - here.left) < distance) [best, distance] = [i, Math.abs(box.left - here.left)];
  }
  return best;
}

const moves = {
  ArrowLeft: () => Math.max(0, at - 1),
  ArrowRight: () => Math.min(pieces.length - 1, at + 1),
  ArrowUp: () => besides(-1),
  ArrowDown: () => besides(1),
  Home: () => 0,
  End: () => pieces.length - 1,
};

// Events

$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (document.body.dataset.state === "writing") stop();
  else write();
});
$("on").addEventListener("click", proceed);
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) write();
});
$("temperature").addEventListener("input", () => {
  $("temperature-shown").textContent = Number($("temperature").value).toFixed(2);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (document.body.dataset.state === "writing") stop();
  else point(-1);
});
for (const input of document.querySelectorAll("input[name=colour]")) input.addEventListener("change", recolour);
for (const id of ["layer", "unit"]) $(id).addEventListener("change", showTyped);
$("text").addEventListener("pointermove", (event) => {
  // a browser also tells of a pointer that rests while the text moves below it
  if (event.pointerType !== "mouse" || pinned || !(event.movementX || event.movementY)) return;
  const index = pieceUnder(event);
  if (index >= 0 && index !== at) point(index);
});
$("text").addEventListener("click", (event) => {
  const index = pieceUnder(event);
  point(pinned && index === at ? -1 : index, true);
});
$("text").addEventListener("keydown", (event) => {
  if (!(event.key in moves) || !pieces.length || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  point(at < 0 ? 0 : moves[event.key]());
  pieces[at].span.scrollIntoView({ block: "nearest" });
});

list();
recolour();
$("temperature").dispatchEvent(new Event("input"));
state("resting");
say();
if (!still.matches) write();
