/** What the original's stack does at the least: socket.io on ws, a pair from a list in memory, events passed on. */

import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { maxHttpBufferSize: 1e6 });
let waiting = null;

io.use((socket, next) => {
  const { token } = socket.handshake.auth;
  if (!token) return next(new Error("Authentication error"));
  socket.user = { id: token, username: `user-${token}` };
  next();
});

io.on("connection", (socket) => {
  socket.emit("connection:established", { user: socket.user, socketId: socket.id });
  socket.on("user:match", () => {
    if (!waiting?.connected || waiting === socket) return void (waiting = socket);
    const partner = waiting;
    waiting = null;
    [socket.partner, partner.partner] = [partner, socket];
    socket.emit("user:matched", { matchedUser: partner.user });
    partner.emit("user:matched", { matchedUser: socket.user });
  });
  socket.on("chat:message", ({ type, content, timestamp }) => {
    socket.partner?.emit("chat:message", { type, content, timestamp, sender: socket.user });
    // Not in the original: to see what Duologue's cost.
    if (process.env.RECEIPTS) socket.emit("chat:delivered", { id: `${timestamp}` });
  });
  for (const event of ["chat:clear", "webrtc:offer", "webrtc:answer", "webrtc:ice-candidate"]) {
    socket.on(event, (data) => socket.partner?.emit(event, data));
  }
  socket.on("disconnect", () => {
    if (waiting === socket) waiting = null;
    if (socket.partner) socket.partner.partner = null;
  });
});

http.listen(0, "127.0.0.1", () => console.log(`Open http://127.0.0.1:${http.address().port} `));
