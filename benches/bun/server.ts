// Bun's uWebSockets as a comparison server: `bun server.ts PORT`. GET /ws?topic=T subscribes, GET /pub publishes text frames "TOPIC\nPAYLOAD".
import { serve } from "bun";

type Role = { topic: string | null };

const port = Number(process.argv[2]);
const server = serve<Role>({
  hostname: "127.0.0.1",
  port,
  fetch(request, server) {
    const url = new URL(request.url);
    const topic = url.searchParams.get("topic");
    if (url.pathname === "/ws" && topic !== null && server.upgrade(request, { data: { topic } })) return;
    if (url.pathname === "/pub" && server.upgrade(request, { data: { topic: null } })) return;
    return new Response("not found", { status: 404 });
  },
  websocket: {
    // Its own defaults, but no idle timeout: idle connections are what the memory row measures.
    idleTimeout: 0,
    perMessageDeflate: false,
    open(socket) {
      if (socket.data.topic !== null) socket.subscribe(socket.data.topic);
    },
    message(_, message) {
      const text = message as string;
      const end = text.indexOf("\n");
      server.publish(text.slice(0, end), text.slice(end + 1));
    },
  },
});
console.log(`listening on ${server.port}`);
