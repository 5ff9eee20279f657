import assert from "node:assert/strict";
import { test } from "node:test";
import { described } from "../../web-demo/app/described.js";

const HERE = "https://chat.example";
const say = (content, type = "file") => described(type, typeof content === "string" ? content : JSON.stringify(content), HERE);

test("a description has its name and size, and links to this site only", () => {
  assert.deepEqual(say({ name: "a.png", size: 2048, url: `${HERE}/api/files/1` }), { content: "File: a.png (2\u00a0KB)", link: `${HERE}/api/files/1` });
  assert.deepEqual(say({ name: "a.png", url: "/api/files/1" }, "voice"), { content: "Voice note: a.png", link: `${HERE}/api/files/1` });
  for (const url of ["https://evil.example/a", "//evil.example/a", "http://chat.example/a", "javascript:alert(1)", "data:text/html,x", "https://[", 7, null]) {
    assert.deepEqual(say({ name: "a.png", url }), { content: "File: a.png" }, String(url));
  }
});

test("whatever else a stranger writes is shown as words", () => {
  assert.deepEqual(say("holiday.jpg"), { content: "File: holiday.jpg" });
  assert.deepEqual(say("https://evil.example/a.png"), { content: "File: https://evil.example/a.png" });
  assert.deepEqual(say("{not json"), { content: "File: {not json" });
  assert.deepEqual(say("{}", "voice"), { content: "Voice note" });
  assert.deepEqual(say({ name: { $gt: "" }, size: "big", url: {} }), { content: "File" });
  assert.deepEqual(say({ name: "a\u202egnp.exe\n", size: -1 }), { content: "File: agnp.exe" });
  assert.ok(say("x".repeat(8000)).content.length < 320);
});
