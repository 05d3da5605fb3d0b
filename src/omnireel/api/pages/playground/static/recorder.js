// Records a clip with the camera, and with the microphone where there is one.

const TYPES = ["video/mp4;codecs=avc1.42E01E,mp4a.40.2", "video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus",
  "video/webm"];

/** Whether this page may use a camera. Browsers allow it over https and on this machine only. */
export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

/** A recording that has begun. `source` is for a live picture, `finished` a promise of the file. */
export class Recording {
  static async begin(maxSeconds) {
    const video = { width: { ideal: 1280, max: 1920 }, height: { ideal: 720, max: 1080 } };
    let source;
    try {
      source = await navigator.mediaDevices.getUserMedia({ video, audio: true });
    } catch (error) {
      if (error.name === "NotAllowedError") throw new Error("The browser does not allow this page to use the camera.");
      source = await navigator.mediaDevices.getUserMedia({ video }).catch(() => {
        throw new Error("No camera can be used.");
      });
    }
    return new Recording(source, maxSeconds);
  }

  constructor(source, maxSeconds) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const parts = [];
    this.source = source;
    this.recorder = new MediaRecorder(source, { mimeType });
    this.recorder.ondataavailable = (event) => parts.push(event.data);
    this.finished = new Promise((resolve) => {
      this.recorder.onstop = () => {
        const type = this.recorder.mimeType.split(";")[0];
        const ending = type === "video/mp4" ? "mp4" : "webm";
        for (const track of source.getTracks()) track.stop();
        resolve(new File(parts, `recording.${ending}`, { type }));
      };
    });
    this.recorder.start(1000);
    this.timer = setTimeout(() => this.stop(), maxSeconds * 1000 - 500);
  }

  stop() {
    clearTimeout(this.timer);
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }
}
