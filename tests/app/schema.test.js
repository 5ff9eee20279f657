import assert from "node:assert/strict";
import test from "node:test";
import { example, pretty, resolve } from "../../web-demo/api/schema.js";

const document = {
  components: {
    schemas: {
      Person: { allOf: [{ $ref: "#/components/schemas/Named" }, { type: "object", properties: { here: { type: "boolean" } } }] },
      Named: { type: "object", properties: { name: { type: "string", example: "ada" }, age: { type: ["integer", "null"] } } },
      Kind: { type: "string", enum: ["file", "voice"] },
    },
  },
};

test("a schema is filled in with its examples, and with something of its kind", () => {
  const person = { name: "ada", age: 0, here: true };
  assert.deepEqual(example(document, { $ref: "#/components/schemas/Person" }), person);
  assert.deepEqual(example(document, { type: "array", items: { $ref: "#/components/schemas/Person" } }), [person]);
  assert.equal(example(document, { oneOf: [{ $ref: "#/components/schemas/Kind" }, { type: "null" }] }), "file");
  assert.equal(example(document, {}), null);
});

test("a name that leads nowhere is nothing, and no fault", () => {
  assert.deepEqual(resolve(document, { $ref: "#/components/schemas/Gone" }), {});
});

test("what is no JSON is shown as it came", () => {
  assert.equal(pretty('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(pretty("<p>"), "<p>");
});
