// What the model saw: the chosen frames with their times, how much of each was kept, and the span of the sound.

import { count, el, seconds } from "./dom.js";

const SOUND = {
  used: "The model hears the clip’s sound", cut: "The model hears the sound up to the limit on its length",
  absent: "The clip has no sound", off: "The sound is left out, as asked", failed: "The sound cannot be decoded",
  unheard: "This model does not hear: it has no audio encoder",
};
const WARNINGS = {
  sound_cut: "The sound is longer than the limit; the rest is left out.",
  sound_failed: "The sound cannot be decoded; only the frames are used.",
  video_truncated: "The file ends early; only the part that is there is used.",
  frames_skipped: "Some frames are damaged or have times far from all others, and were left out.",
  dolby_vision_profile_5: "The clip is in profile 5 of Dolby Vision; its colours are wrong here.",
};

/** Draw an inspection. video: of the answer, with its tubelets, once there is one. */
export function framesView(inspection, video) {
  const seen = video ?? inspection.video;
  const tubelets = tubeletsOf(seen, inspection);
  return [
    summary(seen),
    el("ol", { class: "frames", tabindex: "0", "aria-label": "Frames" }, tubelets.map((tubelet) => group(tubelet))),
    timeline(seen, inspection),
    el("p", { class: "ends", "aria-hidden": "true" }, el("span", {}, "0 s"), el("span", {}, `${seen.duration_s.toFixed(1)} s`)),
    el("p", { class: "note sound" }, soundText(seen, inspection.sound_span_s)),
    seen.warnings.map((name) => el("p", { class: "note warning" }, WARNINGS[name] ?? name)),
    tubelets.some(({ share }) => share !== null)
      ? el("p", { class: "note" }, "Frames with one outline are read together. The bar is the share of their tokens that was " +
        "kept; where the picture does not change, tokens are dropped.")
      : "",
  ];
}

// Frames in groups that the model reads together. Without an answer each frame is alone.
function tubeletsOf(seen, { frames }) {
  let next = 0;
  const take = (number) => frames.slice(next, (next += number));
  if (!seen.tubelets?.length) return frames.map((frame) => ({ frames: [frame], share: null }));
  return seen.tubelets.map(({ num_frames: number, kept_tokens: kept, vision_tokens: all }) => ({
    frames: take(number), share: all ? kept / all : null, kept, all,
  }));
}

function summary(video) {
  const facts = [`${video.frame_times_s.length} frames of ${video.duration_s.toFixed(1)} s`, `${video.width}×${video.height}`,
    `${video.codec}, ${Number(video.source_fps.toFixed(2))} frames a second`];
  if (video.vision_tokens) facts.push(`${count(video.kept_tokens)} of ${count(video.vision_tokens)} video tokens kept`);
  return el("p", { class: "facts", id: "seen" }, facts.join(" · "));
}

function group({ frames, share, kept, all }) {
  const percent = share === null ? "" : `${Math.round(share * 100)} %`;
  const bar = el("span", { class: "bar" }, el("span", { class: "fill" }));
  if (share !== null) bar.firstChild.style.setProperty("width", `${share * 100}%`);
  return el("li", { class: "tubelet" },
    el("div", { class: "pictures" }, frames.map((frame) =>
      el("figure", { class: "frame", "data-time": frame.time_s, "data-index": frame.index },
        picture(frame), el("figcaption", {}, seconds(frame.time_s))))),
    share === null ? "" : el("p", { class: "share", title: `${kept} of ${all} tokens` },
      bar, el("span", { class: "percent" }, percent), el("span", { class: "unseen" }, " of the tokens kept")));
}

// Pictures come from the server; anything but the PNG that it promises is not shown.
function picture(frame) {
  const source = String(frame.picture).startsWith("data:image/png;base64,") ? frame.picture : "";
  return el("img", { src: source, width: frame.width, height: frame.height, alt: `Frame at ${seconds(frame.time_s)}` });
}

// The clip from begin to end: a mark for each frame, and the span of the sound.
function timeline(video, { sound_span_s: sound, frames }) {
  const length = Math.max(video.duration_s, ...frames.map((frame) => frame.time_s), 0.001);
  const at = (time) => `${Math.min(time / length, 1) * 100}%`;
  const line = el("div", { class: "timeline", "aria-hidden": "true" });
  if (sound) {
    const span = el("span", { class: "span" });
    span.style.setProperty("left", at(sound[0]));
    span.style.setProperty("width", at(sound[1] - sound[0]));
    line.append(span);
  }
  for (const frame of frames) {
    const mark = el("span", { class: "mark" });
    mark.style.setProperty("left", at(frame.time_s));
    line.append(mark);
  }
  return line;
}

function soundText(video, span) {
  const text = SOUND[video.audio] ?? video.audio;
  return span ? `${text}: ${seconds(span[0])} to ${seconds(span[1])}, ${count(video.audio_tokens)} tokens.` : `${text}.`;
}
