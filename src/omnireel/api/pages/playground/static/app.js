// The page: connects the clip, the question, the answers and the history.

import * as api from "./api.js";
import { AnswerView } from "./answer_view.js";
import { Clip, newId } from "./clip.js";
import { ClipView } from "./clip_view.js";
import { byId, copy, count, dollars, el, setError } from "./dom.js";
import { Fields } from "./fields.js";
import { framesView } from "./frames_view.js";
import * as history from "./history.js";
import { showHistory } from "./history_view.js";
import { newRecord, Question, UNFINISHED } from "./question.js";
import { snippet } from "./snippets.js";

const SUGGESTIONS = ["What is moving, and which way?", "How many shapes are there?", "Does the square move?"];
const WAYS = {
  stream: "The answer is shown as it is written. It ends with the connection.",
  queue: "The question waits for its turn and goes on if the connection is lost.",
};

const questions = new Map(); // record id → Question
const views = new Map(); // record id → AnswerView
const submitted = new Set(); // ids of records whose jobs the server has
let fields = null;
let unitPrice = null; // dollars a token
let inspected = null; // the last inspection: { key, report }
let language = "curl";

const clipView = new ClipView(byId("clip"), () => {
  clearEstimate();
  showCode();
});

async function begin() {
  for (const radio of document.querySelectorAll("[name=way]")) radio.addEventListener("change", showWay);
  showWay();
  byId("think").addEventListener("change", () => fields?.setThinking(byId("think").checked));
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  byId("form").addEventListener("input", () => {
    clearEstimate();
    showCode();
  });
  byId("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
  });
  byId("prompt").addEventListener("input", () => setError("prompt", ""));
  byId("estimate").addEventListener("click", estimate);
  byId("open-history").addEventListener("click", () => showHistory(replay));
  byId("close-history").addEventListener("click", () => byId("history-dialog").close());
  byId("clear-history").addEventListener("click", clearHistory);
  byId("code").addEventListener("toggle", showCode);
  byId("copy").addEventListener("click", copyCode);
  for (const tab of document.querySelectorAll("[data-language]")) tab.addEventListener("click", () => chooseLanguage(tab));
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  beginKeys();
  await Promise.allSettled([showModel(), readDocument(), readPrice()]);
  await resumeUnfinished();
  document.documentElement.dataset.ready = "true";
}

// --- What the server says about itself

async function showModel() {
  try {
    const { model, backend, status, detail } = await api.health();
    const isDemo = model === "demo" && backend === "local";
    byId("model").textContent = backend === "echo" ? "Echo, for tests" : isDemo ? "Demo model" : model;
    byId("sees").textContent = sees(backend, isDemo);
    if (status !== "ok") banner(`The model cannot be asked now. ${detail ?? ""}`);
    clipView.hasSample = isDemo;
    if (isDemo) suggest();
    if (!clipView.clip) clipView.showChoice();
  } catch (error) {
    banner(error.message);
  }
}

function sees(backend, isDemo) {
  if (backend === "echo") return "This server has no model: it repeats the question, to test programs with.";
  if (isDemo) {
    return "This is the demo model. It knows simple shapes only: one to three plain coloured shapes, their motion, and " +
      "one short word on screen. It hears nothing, it refuses filmed video, and it often takes other shapes for what " +
      "it knows.";
  }
  return "It sees frames of the clip, a few each second, and hears its sound where the model has an audio encoder.";
}

function suggest() {
  byId("suggestions").hidden = false;
  byId("suggestions").replaceChildren(...SUGGESTIONS.map((text) => el("li", {}, el("button", {
    type: "button", class: "suggestion", onclick: () => {
      byId("prompt").value = text;
      byId("prompt").dispatchEvent(new Event("input", { bubbles: true }));
      byId("ask").focus();
    },
  }, text))));
}

async function readDocument() {
  const document = await api.openapi();
  clipView.limits = document.info["x-omnireel-limits"] ?? null;
  fields = new Fields(byId("fields"), document, () => fields.check());
  fields.setThinking(byId("think").checked);
  if (!clipView.clip) clipView.showChoice();
}

async function readPrice() {
  try {
    const [{ unit_price: price, unit }] = (await api.prices()).prices;
    unitPrice = price / (Number.parseInt(unit, 10) || 1);
  } catch (error) {
    if (error.status === 401) askForKey();
  }
}

const priceOf = (tokens) => (unitPrice ?? 0) * tokens;

function banner(message) {
  byId("banner").textContent = message;
  byId("banner").hidden = !message;
}

// --- The question

function input() {
  const values = { prompt: byId("prompt").value.trim(), ...fields?.values() };
  const system = byId("system_prompt").value.trim();
  if (system) values.system_prompt = system;
  if (byId("think").checked) values.reasoning_mode = "think";
  return values;
}

const way = () => document.querySelector("[name=way]:checked").value;

function showWay() {
  byId("way-note").textContent = WAYS[way()];
}

/** Whether the question can be sent. What is missing is shown at its place, and the first such place gets the focus. */
function check() {
  const values = input();
  const part = [values.start_s, values.end_s];
  const clipError = clipView.clip ? clipView.objection(part) : "Choose a clip first.";
  setError("video_url", clipError ?? "");
  setError("prompt", values.prompt ? "" : "Write a question.");
  const areFieldsFine = fields?.check() ?? true;
  if (!areFieldsFine) byId("options").open = true;
  if (!clipError && values.prompt && areFieldsFine) return values;
  const first = clipError ? "#clip button" : values.prompt ? "#options [aria-invalid]" : "#prompt";
  document.querySelector(first)?.focus();
  return null;
}

async function ask({ record: earlier, forcedWay } = {}) {
  const values = earlier ? earlier.input : check();
  if (!values) return;
  const { clip } = clipView;
  if (!clip) return;
  const record = newRecord({ id: newId(), clip, input: { ...values, report_video: true }, way: forcedWay ?? way() });
  const question = new Question(record, clip, changed);
  record.inspection = inspected?.key === inspectionKey(clip, values) ? inspected.report : null;
  questions.set(record.id, question);
  show(record);
  const run = question.run();
  const pictures = clip.reference({ onProgress: () => {} }).then(() => inspectFor(record, clip, values)).catch(() => {});
  await Promise.all([run, pictures]);
  await remember(record, clip);
}

// The frames are asked for after the question, so that the answer does not wait for them.
async function inspectFor(record, clip, values) {
  if (!record.inspection) {
    const report = await api.inspect({ ...values, video_url: await clip.reference({ onProgress: () => {} }) });
    inspected = { key: inspectionKey(clip, values), report };
    record.inspection = report;
  }
  changed(record);
  showFrames(record);
}

const FRAME_FIELDS = ["fps", "max_frames", "start_s", "end_s", "video_pruning_rate", "use_audio", "detail"];
const inspectionKey = (clip, values) => JSON.stringify([clip.id, FRAME_FIELDS.map((name) => values[name])]);

async function estimate() {
  const values = check();
  if (!values) return;
  const { clip } = clipView;
  byId("estimate").disabled = true;
  try {
    const onProgress = (share) => status(`Sending the clip: ${Math.round(share * 100)} %`);
    const reference = await clip.reference({ onProgress });
    status("Reading the clip");
    const report = await api.inspect({ ...values, video_url: reference });
    inspected = { key: inspectionKey(clip, values), report };
    const { input_tokens: read, max_output_tokens: most } = report.usage;
    byId("price").textContent =
      `${count(read)} tokens to read, at most ${count(most)} to write: ${dollars(report.input_price_usd)} to ${dollars(report.max_price_usd)}`;
    status("Estimated");
    drawFrames(report, null);
  } catch (error) {
    status("");
    showProblems(error);
    if (error.status === 401) askForKey(error.message);
    if (error.problems?.some(({ field }) => field === "video_url")) clip.expire();
  } finally {
    byId("estimate").disabled = false;
  }
}

function clearEstimate() {
  byId("price").textContent = "";
}

/** Errors of fields go beside them, others into the status line. */
function showProblems({ message, problems = [] }) {
  const unplaced = problems.filter(({ field, message: text }) => !setError(field, text));
  const isInOptions = problems.some(({ field }) => byId(field)?.closest("#options"));
  if (isInOptions) byId("options").open = true;
  if (!problems.length || unplaced.length) status(message);
}

function status(text) {
  byId("status").textContent = text;
}

// --- Answers

const actions = {
  cancel: ({ id }) => questions.get(id)?.cancel(),
  resume: (record) => resume(record),
  askByQueue: (record) => askAgain(record),
  again: (record) => another(record),
  show: (record) => showFrames(record),
};

function show(record) {
  byId("empty").hidden = true;
  if (views.has(record.id)) views.get(record.id).element.remove();
  const view = new AnswerView(record, actions, priceOf);
  views.set(record.id, view);
  byId("answers").prepend(view.element);
  view.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

const ENDS = { done: "The answer is complete.", cancelled: "Cancelled.", lost: "The connection was lost.", failed: "The question failed." };

// Read aloud: numbers that change many times a second are left out.
const spoken = (note) => (note === "Writing" ? "The answer is being written." : note.replace(/: \d+ %$/, ""));

function changed(record) {
  views.get(record.id)?.update();
  status(UNFINISHED.has(record.state) ? spoken(record.note) : ENDS[record.state]);
  if (record.request_id && !submitted.has(record.id)) {
    submitted.add(record.id); // kept at once: a new page can then continue with it
    remember(record, questions.get(record.id)?.clip);
  }
  if (record.state === "done" && record.inspection) showFrames(record);
  if (record.state === "failed") {
    if (record.error.status === 401) askForKey(record.error.message);
    showProblems(record.error);
  }
}

function showFrames(record) {
  if (record.inspection) drawFrames(record.inspection, record.result?.video ?? null);
}

function drawFrames(report, video) {
  byId("saw").hidden = false;
  byId("frames").replaceChildren(...framesView(report, video).flat().filter(Boolean));
}

async function resume(record) {
  const clip = await clipOf(record);
  const question = new Question(record, clip, changed);
  questions.set(record.id, question);
  await question.resume();
  await remember(record, clip);
}

/** The clip of a record: the chosen one, or the kept file, or null. */
async function clipOf(record) {
  if (clipView.clip?.id === record.clip.id) return clipView.clip;
  if (record.clip.address) return new Clip(record.clip);
  const kept = (await history.isAvailable()) ? await history.clip(record.clip.id) : null;
  return kept && new Clip({ id: kept.id, name: kept.name, file: kept.file });
}

async function choose(record) {
  if (clipView.clip?.id === record.clip.id) return;
  const clip = await clipOf(record);
  if (!clip) {
    clipView.use(null);
    setError("video_url", `“${record.clip.name}” is not kept in this browser any more. Choose it again.`);
  } else if (clip.file) {
    clipView.take(new File([clip.file], clip.name, { type: clip.file.type }), { id: clip.id });
  } else clipView.use(clip);
}

async function askAgain(record) {
  await choose(record);
  await ask({ record, forcedWay: "queue" });
}

async function another(record) {
  await choose(record);
  byId("prompt").select();
  byId("prompt").focus();
}

// --- History

async function remember(record, clip) {
  if (await history.isAvailable()) await history.keep(record, clip).catch((error) => status(`Not kept in the history: ${error.message}`));
}

/** Show a question of the history with its frames, and make its clip the chosen one. Nothing is sent. */
async function replay(kept) {
  const record = questions.get(kept.id)?.record ?? kept; // one that still runs is newer than what is kept of it
  show(record);
  showFrames(record);
  byId("prompt").value = record.input.prompt;
  byId("system_prompt").value = record.input.system_prompt ?? "";
  byId("think").checked = record.input.reasoning_mode === "think";
  fields?.setThinking(byId("think").checked);
  fields?.fill(record.input);
  await choose(record);
}

async function resumeUnfinished() {
  if (!(await history.isAvailable())) return;
  for (const record of (await history.records()).reverse()) {
    if (!UNFINISHED.has(record.state) && record.state !== "lost") continue;
    if (!record.request_id) continue;
    show(record);
    resume(record);
  }
}

async function clearHistory() {
  await history.clear();
  await showHistory(replay);
  byId("close-history").focus();
}

// --- Keys

function beginKeys() {
  byId("open-key").addEventListener("click", () => askForKey());
  byId("close-key").addEventListener("click", () => byId("key-dialog").close());
  byId("drop-key").addEventListener("click", () => useKey(""));
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = byId("key").value.trim();
    const isWellFormed = /^[^\s:]+:\S+$/.test(value);
    setError("key", isWellFormed ? "" : "A key has an id and a secret, with a colon between them.");
    if (isWellFormed) useKey(value);
  });
}

function askForKey(reason) {
  const dialog = byId("key-dialog");
  const isAccepted = api.key.value ? "The server accepts the key that you gave." : "This server works without a key.";
  byId("key-reason").textContent = reason ?? (unitPrice === null ? "This server asks for a key." : isAccepted);
  byId("key").value = api.key.value;
  byId("keep-key").checked = api.key.isKept;
  setError("key", "");
  if (!dialog.open) dialog.showModal();
}

async function useKey(value) {
  api.key.set(value, byId("keep-key").checked);
  byId("key-dialog").close();
  await readPrice();
}

// --- Code

function chooseLanguage(tab) {
  language = tab.dataset.language;
  for (const other of document.querySelectorAll("[data-language]")) other.setAttribute("aria-pressed", String(other === tab));
  showCode();
}

function showCode() {
  if (byId("code").open) byId("snippet").textContent = snippet(language, { ...input(), prompt: input().prompt || byId("prompt").placeholder }, clipView.clip);
}

async function copyCode() {
  byId("copied").textContent = (await copy(byId("snippet").textContent)) ? "Copied" : "The browser does not allow it";
}

begin();
