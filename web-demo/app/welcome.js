/** The first screen: what this is, and three ways in. */

import { Duologue } from "/sdk/duologue.js";
import { h } from "./dom.js";
import { exchange } from "./shapes.js";
import { FIELD_OF, problemOf, sentence } from "./words.js";

/**
 * @typedef {import("./store.js").Login} Login
 * @typedef {import("./words.js").Problem} Problem
 * @typedef {"choose" | "login" | "register"} Mode
 * @typedef {{ element: HTMLElement, input: HTMLInputElement, say(text: string): void }} Field
 */

const SHORTEST_PASSWORD = 8;

/**
 * @param {{ enter(login: Login): void }} options
 */
export function welcome({ enter }) {
  const ways = h("div", { class: "ways" });
  const error = h("p", { class: "form-error", id: "form-error", "data-testid": "form-error", role: "alert" });
  const element = h(
    "section",
    { class: "welcome" },
    h(
      "div",
      { class: "welcome-words" },
      h("h1", {}, "Talk with someone you have never met."),
      h("p", { class: "lead" }, "Duologue pairs you with one person at a time. What you say reaches them and is stored nowhere."),
      ways,
    ),
    exchange(),
  );
  /** @type {Map<string, Field>} */
  const fields = new Map();
  let busy = false;
  draw("choose");

  return {
    element,
    focus: () => ways.querySelector("button")?.focus({ preventScroll: true }),
  };

  /** @param {Mode} mode */
  function draw(mode) {
    fields.clear();
    error.textContent = "";
    element.dataset.mode = mode;
    const guest = button("Talk as a guest", "guest", mode === "choose" ? "button primary wide" : "link", asGuest);
    const login = button("Log in", "login", mode === "choose" ? "button" : "link", () => open("login"));
    const register = button("Sign up", "register", mode === "choose" ? "button" : "link", () => open("register"));
    if (mode === "choose") {
      ways.replaceChildren(
        guest,
        h("p", { class: "hint" }, "No account needed. Guests are forgotten when they leave."),
        error,
        h("div", { class: "pair" }, login, register),
      );
      return;
    }
    const other = mode === "login" ? ["New here?", register] : ["Already have an account?", login];
    ways.replaceChildren(
      form(mode),
      h("p", { class: "other" }, ...other),
      h("p", { class: "other" }, "Only looking around?", guest),
    );
  }

  /** @param {"login" | "register"} mode */
  function open(mode) {
    if (busy) return;
    draw(mode);
    fields.values().next().value?.input.focus();
  }

  /** @param {"login" | "register"} mode */
  function form(mode) {
    const known = mode === "login";
    if (!known) field("username", "Username", "text", "username", "What the other person sees.");
    field("email", "Email", "email", "email");
    field("password", "Password", "password", known ? "current-password" : "new-password", known ? "" : `${SHORTEST_PASSWORD} characters or more.`);
    const title = known ? "Log in" : "Sign up";
    return h(
      "form",
      { class: "form", novalidate: true, "aria-label": title, onsubmit: (/** @type {SubmitEvent} */ event) => submit(event, mode) },
      ...[...fields.values()].map((entry) => entry.element),
      error,
      h("button", { class: "button primary wide", type: "submit", "data-testid": "submit" }, title),
    );
  }

  /**
   * @param {string} name
   * @param {string} label
   * @param {string} type
   * @param {string} autocomplete
   * @param {string} [hint]
   */
  function field(name, label, type, autocomplete, hint = "") {
    const note = h("p", { class: "hint", id: `${name}-note` }, hint);
    const input = h("input", {
      id: name,
      name,
      type,
      autocomplete,
      "data-testid": name,
      required: true,
      spellcheck: "false",
      autocapitalize: "none",
      dir: name === "username" ? "auto" : null,
      "aria-describedby": `${name}-note`,
      oninput: () => input.ariaInvalid === "true" && say(""),
    });
    /** @param {string} text */
    const say = (text) => {
      note.textContent = text || hint;
      input.ariaInvalid = text ? "true" : "false";
    };
    const element = h("div", { class: "field" }, h("label", { for: name }, label), input, note);
    fields.set(name, { element, input, say });
  }

  /**
   * @param {SubmitEvent} event
   * @param {"login" | "register"} mode
   */
  async function submit(event, mode) {
    event.preventDefault();
    if (busy) return;
    for (const entry of fields.values()) entry.say("");
    error.textContent = "";
    const value = (/** @type {string} */ name) => fields.get(name)?.input.value ?? "";
    const login = { email: value("email").trim(), password: value("password") };
    const wrong = mode === "register" ? missing({ username: value("username").trim(), ...login }) : missing(login);
    if (wrong.length) return refuse({ code: "invalid-data", message: "", details: wrong });
    await go(() =>
      mode === "login" ? Duologue.login(login) : Duologue.register({ username: value("username").trim(), ...login }),
    );
  }

  function asGuest() {
    return go(() => Duologue.guest());
  }

  /** @param {() => Promise<Login>} ask */
  async function go(ask) {
    if (busy) return;
    error.textContent = "";
    hold(true);
    try {
      enter(await ask());
    } catch (caught) {
      hold(false);
      refuse(problemOf(caught));
    }
  }

  /** @param {boolean} on */
  function hold(on) {
    busy = on;
    element.ariaBusy = String(on);
  }

  /** @param {Problem} problem */
  function refuse(problem) {
    const details = problem.details ?? [];
    const known = FIELD_OF[problem.code];
    const marked = (known ? [known, ...details] : details).filter((detail) => fields.has(detail.field));
    for (const detail of marked) fields.get(detail.field)?.say(detail.message);
    error.textContent = sentence(problem);
    error.dataset.code = problem.code;
    error.title = problem.code;
    const first = [...fields.values()].find((entry) => entry.input.ariaInvalid === "true");
    first?.input.focus();
  }
}

/**
 * What can be seen to be wrong before asking the server, which has the last word.
 * @param {Record<string, string>} values
 */
function missing(values) {
  const problems = [];
  if (values.username === "") problems.push({ field: "username", code: "required", message: "Choose a name, any name." });
  if (!/^\S+@\S+$/u.test(values.email ?? "")) problems.push({ field: "email", code: "email", message: "Write an address such as ana@example.org." });
  if (values.password === "") problems.push({ field: "password", code: "required", message: "Write a password." });
  else if ("username" in values && [...(values.password ?? "")].length < SHORTEST_PASSWORD) {
    problems.push({ field: "password", code: "short", message: `Use ${SHORTEST_PASSWORD} characters or more.` });
  }
  return problems;
}

/**
 * @param {string} text
 * @param {string} testid
 * @param {string} look
 * @param {() => unknown} onclick
 */
function button(text, testid, look, onclick) {
  return h("button", { class: look, type: "button", "data-testid": testid, onclick }, text);
}
