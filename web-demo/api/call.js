/** One call of the API: what it takes, what it may answer, and a form that sends it. */

import { h } from "/app/dom.js";
import { example, pretty, resolve } from "./schema.js";

/**
 * @typedef {import("./schema.js").Document} Document
 * @typedef {import("./schema.js").Schema} Schema
 * @typedef {{ name: string, in: string, description?: string }} Parameter
 * @typedef {{ summary?: string, description?: string, security?: Record<string, unknown>[], parameters?: Parameter[],
 *   requestBody?: { content: Record<string, { schema: Schema }> }, responses: Record<string, { description: string }> }} Operation
 */

/** Headers of an answer that say something to whoever tries it. */
const TOLD = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"];
/** A request that takes longer than this is given up. */
const PATIENCE_MS = 150_000;

/**
 * @param {object} call
 * @param {Document} call.document
 * @param {string} call.method
 * @param {string} call.path
 * @param {Operation} call.operation
 * @param {{ read: () => string, heard: (token: string) => void }} call.token
 */
export function callCard({ document, method, path, operation, token }) {
  const form = h("form", { onsubmit: send });
  for (const { name, description } of operation.parameters ?? []) form.append(field(name, description, h("input", { name, required: true })));
  const [kind, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const isForm = kind === "multipart/form-data";
  const written = h("textarea", { rows: 6, spellcheck: "false", "aria-label": "Body of the request" });
  if (content && isForm) form.append(...formFields(document, content.schema));
  else if (content) {
    written.value = JSON.stringify(example(document, content.schema), null, 2);
    written.rows = written.value.split("\n").length + 1;
    form.append(written);
  }
  const button = h("button", { class: "button primary small" }, "Send");
  form.append(button);
  const result = h("div", { class: "result", role: "status" });
  const needsToken = operation.security?.length;
  const said = (operation.description ?? "").split("\n\n").map((part) => h("p", { class: "hint" }, ...words(part)));
  const answers = Object.entries(operation.responses).map(([status, { description }]) => h("tr", {}, h("th", { scope: "row" }, status), h("td", {}, ...words(description))));
  return h("details", { class: "call", "data-method": method },
    h("summary", {}, h("span", { class: "method" }, method.toUpperCase()), h("span", { class: "path" }, path),
      h("span", { class: "said" }, operation.summary), needsToken ? h("span", { class: "lock" }, "token") : null),
    h("div", { class: "inside" }, ...said, form, result, h("table", { class: "answers" }, ...answers)));

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    button.disabled = true;
    const headers = new Headers();
    if (needsToken && token.read()) headers.set("authorization", `Bearer ${token.read()}`);
    if (content && !isForm) headers.set("content-type", "application/json");
    const data = new FormData(form);
    const address = path.replace(/\{(\w+)\}/gu, (_, name) => encodeURIComponent(String(data.get(name))));
    const body = content ? (isForm ? filled(data) : written.value) : undefined;
    const began = performance.now();
    try {
      const answer = await fetch(address, { method: method.toUpperCase(), headers, body, signal: AbortSignal.timeout(PATIENCE_MS) });
      show(answer, await answer.text(), performance.now() - began);
    } catch (error) {
      result.replaceChildren(h("p", { class: "status", "data-good": "false" }, `No answer: ${error instanceof Error ? error.message : error}`));
    } finally {
      button.disabled = false;
    }
  }

  /**
   * @param {Response} answer
   * @param {string} text
   * @param {number} ms
   */
  function show(answer, text, ms) {
    const headers = TOLD.flatMap((name) => (answer.headers.has(name) ? [`${name}: ${answer.headers.get(name)}`] : []));
    result.replaceChildren(
      h("p", { class: "status", "data-good": String(answer.ok) }, `${answer.status} in ${ms.toFixed(0)} ms`),
      h("p", { class: "hint" }, headers.join(" · ")),
      h("pre", { tabindex: 0, hidden: text === "" }, pretty(text)),
    );
    if (answer.ok) token.heard(tokenIn(text));
  }
}

/**
 * Text in which what stands between backticks is code.
 * @param {string} text
 */
export function words(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? h("code", {}, part) : part));
}

/** Fields made so far: labels find theirs by a number. */
let fields = 0;

/**
 * @param {string} name
 * @param {string | undefined} description
 * @param {HTMLElement} input
 */
function field(name, description, input) {
  fields += 1;
  input.id = `field-${fields}`;
  return h("div", { class: "field" }, h("label", { for: input.id }, name), input, description ? h("p", { class: "hint" }, ...words(description)) : null);
}

/**
 * The file last: what stands after it is not read.
 * @param {Document} document
 * @param {Schema} schema
 */
function formFields(document, schema) {
  const parts = Object.entries(resolve(document, schema).properties ?? {}).map(([name, part]) => ({ name, part: resolve(document, part), said: part.description }));
  parts.sort((a, b) => Number(a.part.format === "binary") - Number(b.part.format === "binary"));
  return parts.map(({ name, part, said }) => {
    const choices = part.enum && ["", ...part.enum].map((choice) => h("option", {}, String(choice)));
    const type = part.format === "binary" ? "file" : part.type === "integer" ? "number" : "text";
    return field(name, said, choices ? h("select", { name }, ...choices) : h("input", { name, type, required: type === "file" }));
  });
}

/**
 * What was filled in; what was not, is not sent.
 * @param {FormData} data
 */
function filled(data) {
  const kept = new FormData();
  for (const [name, value] of data) if (value !== "") kept.append(name, value);
  return kept;
}

/**
 * The token that an answer brings, if it does.
 * @param {string} text
 */
function tokenIn(text) {
  try {
    const token = JSON.parse(text)?.data?.token;
    return typeof token === "string" ? token : "";
  } catch {
    return "";
  }
}
