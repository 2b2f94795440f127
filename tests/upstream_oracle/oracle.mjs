// Standard input: a JSON list of streams in base64. Standard output: for each stream the events and reconnection times that eventsource-parser
// finds. Ids are left out, because that parser forgets them after each event, where the standard keeps them.
import { createParser } from 'eventsource-parser'

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const streams = JSON.parse(Buffer.concat(chunks).toString())
const results = streams.map((stream) => {
  const events = []
  const retries = []
  const parser = createParser({
    onEvent: ({ event, data }) => events.push([event || 'message', data]),
    onRetry: (retry) => retries.push(retry),
  })
  parser.feed(new TextDecoder('utf-8').decode(Buffer.from(stream, 'base64')))
  return { events, retry: retries.at(-1) ?? null }
})
process.stdout.write(JSON.stringify(results))
