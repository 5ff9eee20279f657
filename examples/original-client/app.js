/** Accounts over HTTP, all else over Socket.IO, as the original's documentation says. */

const API = new URLSearchParams(location.search).get("api") ?? "http://localhost:3001";

const find = (id) => document.getElementById(id);
const status = find("status");
const messages = find("messages");
const write = find("write");

let me;
let partner;
let socket;

find("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { value: call } = event.submitter;
  const { username, email, password } = Object.fromEntries(new FormData(event.target));
  const response = await fetch(`${API}/api/auth/${call}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(call === "register" ? { username, email, password } : { email, password }),
  });
  const answer = await response.json();
  if (!answer.success) return say(answer.message);
  me = answer.data.user;
  connect(answer.data.token);
});

function connect(token) {
  socket = io(API, { auth: { token } });

  socket.on("connect_error", (error) => say(error.message));
  socket.on("disconnect", () => say("The connection was lost."));
  socket.on("connection:established", () => {
    find("login").hidden = true;
    find("chat").hidden = false;
    if (!partner) say(`Hello, ${me.username}.`);
  });

  socket.on("user:matched", ({ matchedUser, resumed }) => {
    partner = matchedUser;
    if (!resumed) messages.replaceChildren();
    say(`You are talking with ${partner.username}.`);
    talking(true);
  });

  socket.on("user:unmatched", () => {
    say(`${partner?.username ?? "Your partner"} is gone.`);
    partner = null;
    talking(false);
  });

  socket.on("chat:message", (message) => show(message, false));
  socket.on("chat:clear", () => messages.replaceChildren());
}

find("match").addEventListener("click", () => {
  socket.emit("user:match");
  partner = null;
  talking(false);
  say("Looking for someone…");
});

find("clear").addEventListener("click", () => {
  socket.emit("chat:clear");
  messages.replaceChildren();
});

write.addEventListener("submit", (event) => {
  event.preventDefault();
  const content = write.content.value.trim();
  if (!content) return;
  const message = { type: "text", content, timestamp: Date.now() };
  socket.emit("chat:message", message);
  show(message, true);
  write.reset();
});

/** A message, or the link to a file. */
function show({ type, content, timestamp }, mine) {
  const line = document.createElement("li");
  line.className = mine ? "mine" : "theirs";
  const words = document.createElement(content.url ? "a" : "p");
  words.textContent = type === "text" ? content : (content.name ?? content);
  if (content.url) Object.assign(words, { href: content.url, download: content.name });
  const time = document.createElement("time");
  time.textContent = new Date(timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  line.append(words, time);
  messages.append(line);
  line.scrollIntoView({ block: "end" });
}

function say(words) {
  status.textContent = words;
}

function talking(now) {
  for (const control of [...write.elements, find("clear")]) control.disabled = !now;
  find("match").textContent = now ? "Next partner" : "Find a partner";
  if (now) write.content.focus();
}
