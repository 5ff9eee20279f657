/** Serves the page and the client from npm, and nothing else: `npm start`, then open what it prints. */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";

const HERE = import.meta.dirname;
const PORT = Number(process.env.PORT ?? 8080);

/** Each address that there is, with its file and type. */
const FILES = new Map([
  ["/", ["index.html", "text/html"]],
  ["/app.js", ["app.js", "text/javascript"]],
  ["/style.css", ["style.css", "text/css"]],
  ["/socket.io.js", ["node_modules/socket.io-client/dist/socket.io.min.js", "text/javascript"]],
]);

const server = createServer(async (request, response) => {
  const [file, type] = FILES.get(new URL(request.url, "http://localhost").pathname) ?? [];
  if (!file) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(await readFile(path.join(HERE, file)));
});

server.listen(PORT, "127.0.0.1", () => console.log(`Open http://localhost:${server.address().port}`));
