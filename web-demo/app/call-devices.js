/** Which microphone, camera and speaker: a menu with a preview of what is chosen. */

import { h, icon } from "./dom.js";
import { meter } from "./meter.js";

const ID = "call-device-menu";

/** @type {Record<MediaDeviceKind, string>} */
const NAMES = { audioinput: "Microphone", videoinput: "Camera", audiooutput: "Speaker" };
const KINDS = /** @type {MediaDeviceKind[]} */ (Object.keys(NAMES));

/**
 * @param {object} options
 * @param {() => import("./calls.js").Call | null} options.call
 * @param {HTMLVideoElement} options.speaker what plays the other's voice
 * @param {(caught: unknown) => void} options.failed
 */
export function deviceMenu({ call, speaker, failed }) {
  const picture = h("video", { class: "call-preview-picture", autoplay: true, playsinline: true, "data-testid": "device-preview", "aria-label": "Your picture" });
  picture.muted = true;
  const none = h("p", { class: "hint call-preview-none" }, "The camera is off");
  const level = h("canvas", { class: "call-preview-level", "aria-hidden": "true" });
  const fields = KINDS.map((kind) => field(kind));
  const button = h("button", { class: "call-tool", type: "button", popovertarget: ID, "data-testid": "call-devices", "aria-label": "Microphone, camera and speaker", title: "Microphone, camera and speaker" }, icon("devices"));
  const panel = h(
    "div",
    { class: "panel call-panel", id: ID, popover: "auto", role: "dialog", "aria-labelledby": "call-devices-title", tabindex: "-1", autofocus: true, "data-testid": "device-menu" },
    h("div", { class: "panel-head" }, h("h2", { id: "call-devices-title" }, "Devices"), h("button", { class: "panel-close", type: "button", popovertarget: ID, popovertargetaction: "hide", "aria-label": "Close" }, icon("close"))),
    h("div", { class: "call-preview" }, picture, none, level),
    ...fields.map(({ element }) => element),
  );
  /** @type {ReturnType<typeof meter> | null} */
  let loud = null;
  /** @type {AbortController | null} */
  let open = null;

  panel.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "open") return shut();
    open = new AbortController();
    // Something was plugged in or pulled out.
    navigator.mediaDevices?.addEventListener("devicechange", fill, { signal: open.signal });
    preview();
    fill();
  });

  return {
    button,
    panel,
    /** What is sent is another. */
    changed: () => open && preview(),
    close: shut,
  };

  function shut() {
    open?.abort();
    open = null;
    loud?.close();
    loud = null;
    picture.srcObject = null;
  }

  function preview() {
    const stream = call()?.local ?? null;
    const [sound] = stream?.getAudioTracks() ?? [];
    const [camera] = stream?.getVideoTracks() ?? [];
    const seen = camera?.readyState === "live" && camera.enabled;
    picture.srcObject = seen ? stream : null;
    picture.dataset.mirrored = String(camera?.getSettings().facingMode !== "environment");
    none.hidden = seen;
    loud?.close();
    loud = sound ? meter(level, new MediaStream([sound])) : null;
  }

  async function fill() {
    const shown = open;
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    if (open !== shown) return;
    for (const { kind, element, select } of fields) {
      // Without a name the browser has not been allowed to tell of it.
      const some = devices.filter((device) => device.kind === kind && device.deviceId);
      select.replaceChildren(...some.map(({ deviceId, label }, index) => h("option", { value: deviceId }, label || `${NAMES[kind]} ${index + 1}`)));
      select.value = used(kind) || some[0]?.deviceId || "";
      select.disabled = some.length === 0;
      if (!some.length) select.append(h("option", {}, kind === "audiooutput" ? "The usual one" : "None found"));
      element.hidden = kind === "audiooutput" && !("setSinkId" in speaker);
    }
  }

  /** @param {MediaDeviceKind} kind */
  function used(kind) {
    if (kind === "audiooutput") return speaker.sinkId || "default";
    const tracks = call()?.local?.getTracks() ?? [];
    return tracks.find((track) => track.kind === kind.replace("input", ""))?.getSettings().deviceId;
  }

  /** @param {MediaDeviceKind} kind */
  function field(kind) {
    const id = `call-${kind}`;
    const select = h("select", { id, class: "call-select", "data-testid": id, onchange: () => choose(kind, select) });
    return { kind, select, element: h("div", { class: "field" }, h("label", { for: id }, NAMES[kind]), select) };
  }

  /**
   * @param {MediaDeviceKind} kind
   * @param {HTMLSelectElement} select
   */
  async function choose(kind, select) {
    try {
      if (kind === "audiooutput") await speaker.setSinkId(select.value);
      else await call()?.useDevice(kind, select.value);
      preview();
    } catch (caught) {
      failed(caught);
      fill();
    }
  }
}
