// An event stream of better-sse: as many numbered events as the first argument says, in connections of as many as the second says, from
// behind `Last-Event-ID` on. Prints its port. Ends with its standard input.
import { createServer } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { createSession } from 'better-sse'

const [count, perConnection] = process.argv.slice(2).map(Number)
const server = createServer(async (request, response) => {
  const session = await createSession(request, response, { retry: 20, keepAlive: 50 })
  const first = Number(session.lastId) + 1
  const last = Math.min(count, first + perConnection - 1)
  for (let number = first; number <= last; number++) {
    session.push({ number }, 'tick', String(number))
    if (number % 10 === 0) await setImmediate()
  }
  if (last < count) response.end()
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume().on('end', () => process.exit())
