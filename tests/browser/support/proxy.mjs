// A proxy between browser and hub with the faults that proxies have: it knows no WebSocket, and holds back what has no end.

import { createServer, request } from 'node:http';

/** `buffers`: an answer is passed on once it has ended; `headFirst`: its head at once. `delayMs`: every piece of a body is so much late. */
export async function startProxy(port, { buffers = false, headFirst = true, delayMs = 0 } = {}) {
  const open = new Set();
  const server = createServer((from, to) => {
    // Upgrade and Connection are between neighbours (RFC 9110, 7.6.1); who does not know them leaves them out.
    const { upgrade, connection, ...headers } = from.headers;
    const onward = request({ host: '127.0.0.1', port, method: from.method, path: from.url, headers, agent: false }, (answer) => {
      const isEndless = /event-stream/.test(answer.headers['content-type'] ?? '') || /http_stream/.test(from.url);
      const head = () => to.writeHead(answer.statusCode, answer.headers).flushHeaders();
      const later = (work) => (delayMs > 0 && isEndless ? setTimeout(work, delayMs) : work());
      if (!isEndless || !buffers || headFirst) head();
      answer.on('data', (piece) => (isEndless && buffers ? null : later(() => to.write(piece))));
      answer.on('end', () => later(() => to.end()));
      answer.on('error', () => to.destroy());
    });
    open.add(onward);
    onward.on('close', () => open.delete(onward));
    onward.on('error', () => to.destroy());
    to.on('close', () => onward.destroy());
    from.pipe(onward);
  });
  // Without this, node would end the connection; a real proxy answers as if it had been a plain request.
  server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async end() {
      for (const onward of open) onward.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
