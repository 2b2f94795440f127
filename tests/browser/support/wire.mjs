// A wire between browser and hub that can be cut, held apart, and plugged into another hub: TCP, passed on as it is.

import { connect, createServer } from 'node:net';

export async function layWire(port) {
  let target = port;
  let isApart = false;
  const sockets = new Set();
  const server = createServer((client) => {
    if (isApart) return client.destroy();
    const hub = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [client, hub],
      [hub, client],
    ]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', () => {});
      // Whoever ends in order has the last word delivered; whoever breaks breaks both.
      socket.on('close', (hadError) => {
        sockets.delete(socket);
        if (hadError) other.destroy();
        else other.end();
      });
    }
    client.pipe(hub).pipe(client);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const wire = {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Ends every connection, and lets no new one through until `mend`. */
    cut() {
      isApart = true;
      for (const socket of sockets) socket.destroy();
    },
    mend(port = target) {
      target = port;
      isApart = false;
    },
    async remove() {
      wire.cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return wire;
}
