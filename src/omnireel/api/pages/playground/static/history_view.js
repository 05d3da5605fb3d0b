// The dialog with earlier questions.

import { byId, bytes, count, el } from "./dom.js";
import * as history from "./history.js";
import { partsOf } from "./question.js";

const WORDS = { failed: "failed", cancelled: "cancelled", lost: "connection lost" };

/** Show the dialog. onOpen: called with the record that is chosen. */
export async function showHistory(onOpen) {
  const dialog = byId("history-dialog");
  await draw(dialog, onOpen);
  if (!dialog.open) dialog.showModal();
}

async function draw(dialog, onOpen) {
  if (!(await history.isAvailable())) {
    byId("history-note").textContent = "This browser keeps no history for this page.";
    byId("clear-history").hidden = true;
    return;
  }
  const records = await history.records();
  const { bytes: size } = await history.size();
  byId("history-note").textContent = records.length
    ? `${count(records.length)} ${records.length === 1 ? "question" : "questions"} and ${bytes(size)} of clips, kept in this browser only. At most ` +
      `${history.MAX_RECORDS} questions and ${bytes(history.MAX_CLIP_BYTES)} are kept.`
    : "Nothing yet. Questions and answers are kept here, in this browser only.";
  byId("clear-history").hidden = !records.length;
  byId("history").replaceChildren(...records.map((record) => entry(record, dialog, onOpen)));
}

function entry(record, dialog, onOpen) {
  const { answer } = partsOf(record);
  const open = () => {
    dialog.close();
    onOpen(record);
  };
  const drop = async () => {
    await history.remove(record.id);
    await draw(dialog, onOpen);
  };
  return el("li", {},
    el("button", { type: "button", class: "entry", onclick: open },
      el("span", { class: "question" }, record.input.prompt),
      el("span", { class: "excerpt" }, answer ? answer.slice(0, 160) : WORDS[record.state] ?? record.state),
      el("span", { class: "about" }, `${record.clip.name} · ${new Date(record.asked_at).toLocaleString()}`)),
    el("button", { type: "button", class: "quiet", "aria-label": `Remove “${record.input.prompt.slice(0, 60)}”`, onclick: drop },
      "Remove"));
}
